"""Says how an attempt ended, from what it raised and what it was asked. Pure, but for the dice of a backoff."""

from __future__ import annotations

import json
import random
from enum import StrEnum
from typing import Any

from flower.core.errors import FieldError, InvalidParameters, ResultNotJson, SourceIgnored
from flower.core.model import Claim, Failure, Outcome
from flower.core.status import Status, Why
from flower.sdk.ending import Retry, Skip, Suspend
from flower.sdk.failure import describe, failure_text, message_of
from flower.sdk.inputs import arguments
from flower.sdk.retry import Policy
from flower.sdk.task import Task

_STOPPED = "its worker was stopped while it ran; how far it came is not known, and it is not to be started again by itself (on_lost)"


class Reason(StrEnum):
    """Why the engine asks a running task to stop."""

    SHUTDOWN = "shutdown"
    TAKEN_AWAY = "taken_away"
    TIMEOUT = "timeout"
    LEASE_LOST = "lease_lost"


def policy_of(task: Task[..., Any, Any], claim: Claim) -> Policy:
    """Return what counts for the attempts of *claim*: what *task* says, with what its step says on top. Raises what `of` knows."""
    if claim.options is None:
        return task.policy
    try:
        return task.policy.overridden(json.loads(claim.options))
    except (TypeError, ValueError, AttributeError) as error:
        raise _Refused(InvalidParameters(task.name, [FieldError("options", f"make no sense: {error}")])) from None


def arguments_of(task: Task[..., Any, Any], claim: Claim) -> dict[str, Any]:
    """Return what *task* is called with. Raises what `of` knows."""
    try:
        return arguments(task, claim.parameters, claim.open)
    except (InvalidParameters, SourceIgnored) as error:
        raise _Refused(error) from None


class _Refused(BaseException):
    """Carries what is wrong with the parameters past everything that user code could raise."""

    def __init__(self, error: InvalidParameters | SourceIgnored) -> None:
        super().__init__(error)
        self.error = error


def unharmed(claim: Claim) -> Outcome:
    """Return that *claim* goes back without having used up an attempt."""
    return Outcome(claim, Status.WAIT, unharmed=True)


def of(claim: Claim, task: Task[..., Any, Any], error: BaseException, *, asked: Reason | None) -> Outcome:
    """Return how an attempt of *task* ended that raised *error*. *asked*: why the engine had asked it to stop, None if it had not."""
    if type(error) is _Refused:
        return _refused(claim, error.error)
    policy = policy_of(task, claim)
    if asked is Reason.TIMEOUT:
        overdue = TimeoutError(f"it did not end within its timeout of {policy.timeout or 0:g} s")
        return _failed(claim, task, policy, overdue.with_traceback(error.__traceback__))
    if asked is not None:
        return _interrupted(claim, policy, asked)
    if isinstance(error, Suspend):
        return Outcome(claim, Status.SUSPEND, Why.APPROVAL, failure_text(Failure("Suspend", message_of(error), claim.program)))
    if isinstance(error, Skip):
        return Outcome(claim, Status.IGNORE, Why.SKIPPED, failure_text(Failure("Skip", message_of(error), claim.program)))
    if type(error) is ResultNotJson:
        failure = Failure("ResultNotJson", str(error), claim.program, f"{task.place} in {task.name}")
        return Outcome(claim, Status.SUSPEND, Why.FAILED, failure_text(failure))
    # Python turns a StopIteration that leaves a coroutine into this; the user raised the inner one.
    cause = error.__cause__
    if type(error) is RuntimeError and isinstance(cause, StopIteration | StopAsyncIteration):
        error = cause
    return _failed(claim, task, policy, error)


def _refused(claim: Claim, error: InvalidParameters | SourceIgnored) -> Outcome:
    failure = failure_text(Failure(type(error).__name__, str(error), claim.program))
    if isinstance(error, SourceIgnored):
        return Outcome(claim, Status.IGNORE, Why.SKIPPED, failure)
    return Outcome(claim, Status.SUSPEND, Why.INVALID, failure)


def _interrupted(claim: Claim, policy: Policy, reason: Reason) -> Outcome:
    if policy.on_lost == "retry" or reason is Reason.TAKEN_AWAY:
        return unharmed(claim)
    return Outcome(claim, Status.SUSPEND, Why.FAILED, failure_text(Failure("WorkerStopped", _STOPPED, claim.program)))


def _failed(claim: Claim, task: Task[..., Any, Any], policy: Policy, error: BaseException) -> Outcome:
    failure = failure_text(describe(error, program=claim.program, home=task.__module__.partition(".")[0]))
    delay = _next_delay(policy, error, claim.tries)
    if delay is None:
        return Outcome(claim, Status.SUSPEND, Why.FAILED, failure)
    return Outcome(claim, Status.WAIT, Why.FAILED, failure, after_seconds=delay)


def _next_delay(policy: Policy, error: BaseException, tries: int) -> float | None:
    spread = random.random()  # noqa: S311 - dice, not secrets
    if not isinstance(error, Retry):
        return policy.next_delay(error, tries, spread)
    if tries >= policy.attempts:
        return None
    return policy.backoff.delay(tries, spread) if error.after is None else error.after

"""`wait_for`, a step that waits until somebody sends a signal, and `signal`, which sends it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self, TypeVar, overload

from flower.core.errors import FieldError, Invalid, NotInWorkflow, TraceError
from flower.core.signals import LARGEST_PAYLOAD_BYTES, LONGEST_SIGNAL, LONGEST_WAIT_SECONDS, WAIT_FOR_SIGNAL, Signal, is_signal_name, key_text
from flower.sdk.flow import starter
from flower.sdk.handle import place, reference_of, refusal
from flower.sdk.task import Task
from flower.sdk.trace import StepOptions, current_trace, plain_json
from flower.sdk.values import Unwritable, write

T = TypeVar("T")
D = TypeVar("D")

# So much of a signal's name is the name of its step: a number may come behind it.
_LONGEST_STEP = 240
_WHAT = "what is sent"


class _Nothing:
    """Nothing was given: None is a default like any other."""

    def __repr__(self) -> str:
        return "(none)"


_NOTHING = _Nothing()


def _wait_for_signal(*, name: str, key: str | float | bool | None = "", timeout: float | None = None, default: Any = None) -> Any:
    """Stand for what the database does: no worker ever calls it, its parameters are what counts."""


_PROGRAM: Task[..., Any, Any] = Task(_wait_for_signal, WAIT_FOR_SIGNAL, "flower", {})


class WaitFor:
    """What `flower.wait_for` is."""

    def __init__(self) -> None:
        self._step = StepOptions()

    @overload
    def __call__(self, name: str, *, key: object = "", timeout: float | None = None, default: object = ...) -> Any: ...
    @overload
    def __call__(self, name: str, *, key: object = "", timeout: float | None = None, result: type[T]) -> T: ...
    @overload
    def __call__(self, name: str, *, key: object = "", timeout: float, result: type[T], default: D) -> T | D: ...
    def __call__(
        self, name: str, *, key: object = "", timeout: float | None = None, result: type[Any] | None = None, default: object = _NOTHING
    ) -> Any:
        """Make a step that waits, without a slot, for the signal *name* with this *key*, and results in what was sent.

        *key*: a text or number, also a parameter of the workflow or part of an earlier result. *timeout*: for so many seconds from when its turn
        comes; then the step results in *default*, or fails if there is none. *result* is for type checkers: what is sent is converted where it is
        handed to a task. Raises TraceError for what cannot be waited for, and NotInWorkflow outside of the body of a workflow.
        """
        del result
        trace = current_trace()
        if trace is None:
            raise NotInWorkflow("wait_for", "nothing: only a flow waits, and flower.signal(…) sends")
        where = place()
        _check(where, name, key, timeout, has_default=default is not _NOTHING)
        wish = {"name": name, "key": key, "timeout": timeout, "default": default}
        given = {what: value for what, value in wish.items() if value is not _NOTHING and (what != "timeout" or value is not None)}
        called = name[:_LONGEST_STEP] if isinstance(name, str) else None
        return trace.add(_PROGRAM, (), given, self._step, called=called)

    def options(self, *, name: str | None = None, after: Sequence[object] = ()) -> Self:
        """Return this with settings for one step: its *name*, else that of the signal; and the results of steps that it comes *after*."""
        made = copy.copy(self)
        made._step = StepOptions(name, tuple(after))  # noqa: SLF001 - another of ours
        return made


def _check(where: str, name: object, key: object, timeout: object, *, has_default: bool) -> None:
    if reference_of(name) is None and not (isinstance(name, str) and is_signal_name(name)):
        raise refusal(where, f"wait_for({name!r}): a signal has a name of 1 to {LONGEST_SIGNAL} characters, without control characters")
    if reference_of(key) is None:
        try:
            _key(key)
        except Invalid as error:
            raise refusal(where, f"wait_for({name!r}): {error}") from None
    if reference_of(timeout) is None and timeout is not None:
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not (is_number and 0 <= timeout <= LONGEST_WAIT_SECONDS):  # type: ignore[operator]
            raise refusal(where, f"wait_for({name!r}): timeout={timeout!r}: a number of seconds from 0 to {LONGEST_WAIT_SECONDS:.0f} is needed")
    if has_default and timeout is None:
        raise refusal(where, f"wait_for({name!r}): default= is what it goes on with after timeout= seconds, and there is no timeout")


wait_for = WaitFor()


async def signal(name: str, *, key: object = "", payload: object = None, idempotency_key: str | None = None, connection: Any = None) -> None:
    """Send the signal *name* with this *key*: every step that waits for it results in *payload*; if there is none, the first that comes.

    It is committed then, unless *connection* (asyncpg, psycopg or SQLAlchemy) makes it part of a transaction of yours. The same
    *idempotency_key* again is the same signal. Raises Invalid, KeyReused or DatabaseLost.
    """
    await starter().signal(_signal(name, key, payload, idempotency_key), connection)


def signal_sync(name: str, *, key: object = "", payload: object = None, idempotency_key: str | None = None, connection: Any = None) -> None:
    """Do the same as `signal` where no event loop runs."""
    starter().signal_sync(_signal(name, key, payload, idempotency_key), connection)


def _key(key: object) -> str:
    try:
        return key_text(plain_json(key, "", "the key"))
    except TraceError as error:
        raise Invalid([FieldError("key", error.reason)]) from None


def _signal(name: str, key: object, payload: object, idempotency_key: str | None) -> Signal:
    if not is_signal_name(name):
        raise Invalid([FieldError("name", f"a text of 1 to {LONGEST_SIGNAL} characters is wanted, without control characters")])
    try:
        plain = plain_json(payload, "", _WHAT)
        write(plain, LARGEST_PAYLOAD_BYTES)
    except TraceError as error:
        raise Invalid([FieldError("payload", error.reason)]) from None
    except Unwritable as error:
        raise Invalid([FieldError("payload", str(error))]) from None
    return Signal(name, _key(key), plain, idempotency_key)

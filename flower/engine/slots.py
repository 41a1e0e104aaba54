"""The slots of one worker: who runs in them, and what becomes of it. Hands every outcome to the recorder, and rings when one is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from flower.core import log
from flower.core.model import Claim, Outcome
from flower.core.status import Status, Why
from flower.engine.endings import Reason
from flower.engine.recorder import Recorder
from flower.engine.runner import Runner
from flower.sdk.failure import LAST_RESORT

_log = log.get()

# How long tasks that were cancelled may take to end. Those that do not are left to themselves: their slot is free again.
_CANCEL_SECONDS = 5.0
_HURRIED_SECONDS = 1.0

_EVENTS = {
    Status.WAIT: "task.handed_back",
    Status.SUSPEND: "task.failed",
    Status.FINISH: "task.finished",
    Status.IGNORE: "task.ignored",
}


@dataclass(frozen=True, slots=True)
class _Held:
    claim: Claim
    attempt: asyncio.Task[None]
    began: float


class Slots:
    """Room for *count* running tasks."""

    def __init__(self, *, count: int, runner: Runner, recorder: Recorder, ring: Callable[[], None]) -> None:
        self._count, self._permits = count, asyncio.Semaphore(count)
        self._runner, self._recorder, self._ring = runner, recorder, ring
        self._held: dict[UUID, _Held] = {}
        # Claims that are gone: their outcome would be refused, so nobody sends it.
        self._taken_away: set[UUID] = set()
        self._leaked: set[UUID] = set()

    def __len__(self) -> int:
        """Return how many tasks run."""
        return len(self._held)

    @property
    def has_room(self) -> bool:
        """Whether more could run than do, those counted that a turn under way may fill."""
        return len(self._held) < self._count

    async def take(self) -> int:
        """Take all permits that can be had without waiting, and return how many."""
        taken = 0
        while not self._permits.locked():
            await self._permits.acquire()
            taken += 1
        return taken

    def give(self, count: int) -> None:
        """Give *count* permits back that no task needed."""
        for _ in range(count):
            self._permits.release()

    def start(self, claim: Claim) -> None:
        """Run *claim* under a permit that was taken."""
        self._held[claim.claim_id] = _Held(claim, asyncio.create_task(self._attempt(claim)), monotonic())

    def hand_back(self, claim: Claim) -> None:
        """Return *claim* unharmed, and its permit, without having run it."""
        self._recorder.add(Outcome(claim, Status.WAIT, unharmed=True))
        self._permits.release()
        self._ring()

    def claims(self) -> list[Claim]:
        """Return what runs, without what was taken away and is only ending."""
        return [held.claim for held in self._held.values() if held.claim.claim_id not in self._taken_away]

    def claim_of(self, attempt: asyncio.Task[Any]) -> Claim | None:
        """Return what runs in *attempt*: user code runs in the asyncio task that `start` makes. May be called from any thread."""
        return next((held.claim for held in list(self._held.values()) if held.attempt is attempt), None)

    def take_away(self, claim_ids: Iterable[UUID]) -> None:
        """Stop these tasks and forget what they return: their claims are gone."""
        for claim_id in [claim_id for claim_id in claim_ids if claim_id in self._held]:
            self._taken_away.add(claim_id)
            self._stop(self._held[claim_id].claim, Reason.TAKEN_AWAY)

    @property
    def leaked(self) -> int:
        """How many attempts still go on though they were told to stop, beyond the slots."""
        return len(self._leaked)

    async def empty(self, grace_seconds: float, hurried: asyncio.Event) -> None:
        """Give what runs *grace_seconds*, or until *hurried*; then cancel it, and hand back unharmed what does not end even so."""
        await self._ended(grace_seconds, hurried)
        self.cancel_all(Reason.SHUTDOWN)
        await self._ended(_HURRIED_SECONDS if hurried.is_set() else _CANCEL_SECONDS)
        for held in list(self._held.values()):
            _log.error("task.left_behind", flow=held.claim.flow_id, seq=str(held.claim.seq), program=held.claim.program)
            self._leave(held, self._runner.cut_short(held.claim, Reason.SHUTDOWN))

    def cancel_all(self, reason: Reason) -> None:
        """Ask everything that runs to stop, for *reason*."""
        for claim_id in list(self._held):
            self._cancel(claim_id, reason)

    def _overdue(self, claim: Claim) -> None:
        self._stop(claim, Reason.TIMEOUT)

    def _stop(self, claim: Claim, reason: Reason) -> None:
        """Cancel what runs under *claim*; if it does not end even so, free its slot without it."""
        self._cancel(claim.claim_id, reason)
        if claim.claim_id in self._held:
            asyncio.get_running_loop().call_later(_CANCEL_SECONDS, self._give_up_on, self._held[claim.claim_id], reason)

    def _give_up_on(self, held: _Held, reason: Reason) -> None:
        claim = held.claim
        if claim.claim_id not in self._held:
            return
        _log.error("task.leaked", flow=claim.flow_id, seq=str(claim.seq), program=claim.program, why=reason.value)
        self._leave(held, self._runner.cut_short(claim, reason))

    def _leave(self, held: _Held, outcome: Outcome) -> None:
        """Count *held* as ended with *outcome*, and let it go on: what it returns one day is forgotten."""
        self._close_account(outcome, monotonic() - held.began)
        self._leaked.add(held.claim.claim_id)

    def _cancel(self, claim_id: UUID, reason: Reason) -> None:
        if self._runner.cancel(claim_id, reason):
            return
        # Its asyncio task has not taken its first step, and never will.
        held = self._held[claim_id]
        held.attempt.cancel()
        self._close_account(Outcome(held.claim, Status.WAIT, unharmed=True), 0)

    async def _attempt(self, claim: Claim) -> None:
        began = monotonic()
        try:
            outcome = await self._runner.run(claim, self._overdue)
        except BaseException:  # noqa: BLE001 - an exception class whose own attributes raise: even then the slot comes back
            outcome = Outcome(claim, Status.SUSPEND, Why.FAILED, LAST_RESORT)
        self._close_account(outcome, monotonic() - began)

    def _close_account(self, outcome: Outcome, seconds: float) -> None:
        claim = outcome.claim
        if claim.claim_id in self._leaked:
            self._leaked.discard(claim.claim_id)
            _log.warning("task.leak_ended", flow=claim.flow_id, seq=str(claim.seq), program=claim.program)
            return
        if outcome.is_written:
            self._recorder.recorded([outcome])
        if claim.claim_id in self._taken_away:
            self._taken_away.discard(claim.claim_id)
            _log.info("task.taken_away", flow=claim.flow_id, seq=str(claim.seq), program=claim.program)
        else:
            if not outcome.is_written:
                self._recorder.add(outcome)
            _say(outcome, seconds)
        # Held until the end was handed over, so that nobody takes the claim for a stray one.
        if self._held.pop(claim.claim_id, None) is not None:
            self._permits.release()
        self._ring()

    async def _ended(self, seconds: float, hurried: asyncio.Event | None = None) -> None:
        if not self._held:
            return
        ended: list[asyncio.Future[Any]] = [asyncio.gather(*(held.attempt for held in self._held.values()), return_exceptions=True)]
        if hurried is not None:
            ended.append(asyncio.ensure_future(hurried.wait()))
        await asyncio.wait(ended, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for hurry in ended[1:]:
            hurry.cancel()


def _say(outcome: Outcome, seconds: float) -> None:
    """Write the one canonical line of an attempt."""
    claim, status, again = outcome.claim, outcome.status, outcome.after_seconds
    say = _log.warning if outcome.why is Why.FAILED else _log.info
    say(
        _EVENTS[status] if again is None else "task.attempt_failed",
        flow=claim.flow_id,
        seq=str(claim.seq),
        program=claim.program,
        attempt=claim.attempt,
        status=status.word,
        seconds=round(seconds, 4),
        **({"why": outcome.why.value} if outcome.why else {}),
        **({} if again is None else {"again_in": round(again, 1)}),
    )

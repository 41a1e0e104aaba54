"""The loop that gives slots to tasks: one cycle after another, each recording what ended and claiming for what is free.

Knows neither how a task runs (the runner) nor what a cycle does in the database (the store).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, DatabaseLost
from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.database.errors import refusal
from flower.database.store import Store
from flower.database.store.cycle import Answer, Position
from flower.engine.backoff import Backoff
from flower.engine.recorder import Recorder
from flower.engine.runner import Reason, Runner
from flower.engine.slots import Slots

# While busy, what hands changed is looked at this often at most: each look costs, and decays under a held snapshot.
_LOOK_SECONDS = 0.05
# So often the claim starts from the beginning again: how long an urgent newcomer waits at most while all slots are taken.
_START_OVER_SECONDS = 1.0
# A timer of the loop cannot be set for the year 20000.
_LONGEST_REST_SECONDS = 86_400.0

_log = log.get()


class Dispatcher:
    """Claims for *worker* as many tasks as *slots* are free, runs them, and records how they ended."""

    def __init__(self, *, store: Store, worker: UUID, runner: Runner, slots: int) -> None:
        self.state = "ok"
        self._store, self._worker = store, worker
        self._recorder, self._bell = Recorder(), asyncio.Event()
        self._slots = Slots(count=slots, runner=runner, recorder=self._recorder, ring=self._bell.set)
        # Sent in a call that failed: whether they were written, nobody knows.
        self._perhaps_written: set[UUID] = set()
        self._in_flight = 0
        self.is_open = True
        self._must_reconcile = self._must_check_claims = self._careful = False
        self._position: Position | None = None
        self._look_at = self._start_over_at = 0.0
        self._rest_until: float | None = None

    # The bell: many reasons, one question.

    def ring(self) -> None:
        """Look: something may be claimable, or was changed by a hand."""
        self._look_at = 0.0
        self._bell.set()

    def ring_stop(self) -> None:
        """Ask which of the claims held here are gone: some running task was cancelled, taken away or set by hand."""
        self._must_check_claims = True
        self._bell.set()

    def compare(self, running: int) -> None:
        """Say how many running rows the table has for this worker; look closer if that is not what is held here."""
        if running != len(self._slots.claims()) + len(self._recorder) + self._in_flight:
            self.doubt()

    def doubt(self) -> None:
        """Look for work, and at what the table says that is held here."""
        self._must_reconcile = True
        self.ring()

    async def run(self) -> None:
        """Work until `stop`, and then until every outcome is written. Stays while the database is away."""
        backoff = Backoff(longest_seconds=5)
        while True:
            try:
                await self._turn()
            except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
                await self._stay(error, backoff)
                continue
            self._recovered(backoff)
            if not (self.is_open or self._slots or self._recorder):
                return
            await self._rest()

    async def stop(self, grace_seconds: float, hurried: asyncio.Event) -> None:
        """Start nothing more; give running tasks *grace_seconds*, or until *hurried*, then cancel them and hand them back unharmed."""
        self.is_open = False
        self._bell.set()
        await self._slots.empty(grace_seconds, hurried)
        self._bell.set()

    def give_up(self) -> None:
        """Start nothing more, and stop at once what runs: this worker is lost. To be followed by `stop`."""
        self.is_open = False
        self._slots.cancel_all(Reason.LEASE_LOST)
        self._bell.set()

    def claim_of(self, attempt: asyncio.Task[Any]) -> Claim | None:
        """Return what runs in *attempt*, None if it is no task of ours. May be called from any thread."""
        return self._slots.claim_of(attempt)

    @property
    def unwritten(self) -> int:
        """How many outcomes wait to be written."""
        return len(self._recorder)

    # One turn of the wheel.

    async def _turn(self) -> None:
        self._bell.clear()
        await self._check_accounts()
        look = self._is_time_to_look()
        slots, outcomes = await self._slots.take() if self.is_open else 0, self._recorder.take()
        from_start = self._position is None
        answer = await self._send(outcomes, slots, look=look)
        self._settle_accounts(answer, outcomes)
        self._slots.give(slots - len(answer.claimed))
        begin = self._slots.start if self.is_open else self._slots.hand_back
        for claim in answer.claimed:
            begin(claim)
        if len(answer.claimed) < slots:
            # Short is not empty: rows may have been locked, or lie before the position. Only after a claim from the start it may rest.
            self._position = None
            if not from_start:
                self._bell.set()
        elif slots or look:
            self._position = answer.position
        self._plan_rest(answer, looked=look)

    async def _send(self, outcomes: list[Outcome], slots: int, *, look: bool) -> Answer:
        self._in_flight = len(outcomes)
        try:
            answer = await self._store.cycle.turn(self._worker, outcomes, slots, look=look, careful=self._careful, position=self._position)
        except BaseException as error:
            if isinstance(error, DatabaseLost):
                self._perhaps_written.update(outcome.claim.claim_id for outcome in outcomes)
            self._recorder.put_back(outcomes)
            self._slots.give(slots)
            self._look_at = 0.0
            raise
        finally:
            self._in_flight = 0
        self._careful = False
        return answer

    def _is_time_to_look(self) -> bool:
        now = monotonic()
        if now >= self._start_over_at:
            self._position, self._start_over_at = None, now + _START_OVER_SECONDS
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        return True

    def _plan_rest(self, answer: Answer, *, looked: bool) -> None:
        now = monotonic()
        if looked:
            self._rest_until = None if answer.sleep_seconds is None else now + answer.sleep_seconds
        else:
            self._rest_until = self._look_at  # what this cycle could not settle waits for a look
        if answer.locked:
            self._rest_until = now + _LOOK_SECONDS
        if len(self._recorder) > len(answer.locked):
            self._bell.set()

    async def _rest(self) -> None:
        if self._bell.is_set():
            await asyncio.sleep(0)
            return
        seconds = None if self._rest_until is None else max(0.0, min(self._rest_until - monotonic(), _LONGEST_REST_SECONDS))
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            self._look_at = 0.0

    def _settle_accounts(self, answer: Answer, outcomes: list[Outcome]) -> None:
        locked = set(answer.locked)
        if locked:
            self._recorder.put_back(outcome for outcome in outcomes if outcome.claim.claim_id in locked)
        for claim_id in answer.refused:
            if claim_id not in self._perhaps_written:
                _log.warning("task.result_refused", claim=str(claim_id))
        for claim_id in answer.unstorable:
            _log.error("task.result_unstorable", claim=str(claim_id))
        if self._perhaps_written:
            self._perhaps_written.difference_update(outcome.claim.claim_id for outcome in outcomes if outcome.claim.claim_id not in locked)

    # What the table says of our claims.

    async def _check_accounts(self) -> None:
        if self._must_reconcile:
            await self._reconcile()
        if self._must_check_claims:
            await self._check_claims()

    async def _reconcile(self) -> None:
        """Hand back tasks that the table says we hold and we do not: the answer to a claim was lost."""
        known = {claim.claim_id for claim in self._slots.claims()} | self._recorder.claims()
        for claim in await self._store.workers.held(self._worker):
            if claim.claim_id not in known:
                _log.warning("claim.handed_back", flow=claim.flow_id, seq=str(claim.seq), program=claim.program)
                self._recorder.add(Outcome(claim, Status.WAIT, unharmed=True))
        self._must_reconcile = False
        self._must_check_claims = True

    async def _check_claims(self) -> None:
        """Stop the tasks whose claim is gone."""
        self._must_check_claims = False
        held = self._slots.claims()
        if held:
            try:
                self._slots.take_away(await self._store.workers.gone(held))
            except BaseException:
                self._must_check_claims = True
                raise

    # The database is away.

    async def _stay(self, error: DatabaseLost | ConfigurationError | asyncpg.PostgresError, backoff: Backoff) -> None:
        if isinstance(error, asyncpg.PostgresError):
            if not self._careful:
                # A value, or somebody's trigger or constraint, refuses one row: the next call finds out which, and does the rest.
                self._careful = True
                return
            self.state = refusal(error)
            _log.error("cycle.failed", message=self.state)
        else:
            if self.state == "ok":
                _log.warning("database.lost", message=str(error))
            self.state = str(error)
        self._must_reconcile = True
        await backoff.pause()

    def _recovered(self, backoff: Backoff) -> None:
        if self.state != "ok":
            _log.info("database.back")
            self.state = "ok"
            backoff.reset()

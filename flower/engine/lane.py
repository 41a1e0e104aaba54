"""The loop that gives slots to tasks: one turn of the cycle after another, each recording what ended and claiming for what is free.

Knows neither how a task runs (the runner) nor what a turn does in the database (the store).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from uuid import UUID

import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, DatabaseLost
from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.database.store.cycle import Answer, Position
from flower.engine.patience import Patience
from flower.engine.recorder import Recorder
from flower.engine.shared import LOOK_SECONDS, Shared
from flower.engine.slots import Slots

# So often the claim starts from the beginning again: how long an urgent newcomer waits at most while all slots are taken.
_START_OVER_SECONDS = 1.0
# A timer of the loop cannot be set for the year 20000.
_LONGEST_REST_SECONDS = 86_400.0

_log = log.get()


class Lane:
    """Claims as many tasks as *slots* are free, runs them, and records how they ended.

    *on_full* is called when more may wait than it could take, and *on_compared* when the table was asked what this worker holds.
    """

    def __init__(self, shared: Shared, *, slots: int, on_full: Callable[[], None], on_compared: Callable[[], None]) -> None:
        self._store, self._worker = shared.store, shared.worker
        self._standing, self._look, self._accounts = shared.standing, shared.look, shared.accounts
        self._on_full, self._on_compared = on_full, on_compared
        self._recorder, self._bell = Recorder(shared.tally), asyncio.Event()
        self.slots = Slots(count=slots, runner=shared.runner, recorder=self._recorder, ring=self._bell.set)
        self.is_open = True
        # Sent in a call that failed: whether they were written, nobody knows.
        self._perhaps_written: set[UUID] = set()
        self._in_flight = 0
        self._must_check_claims = self._careful = False
        self._position: Position | None = None
        self._start_over_at = 0.0
        self._rest_until: float | None = None

    def ring(self) -> None:
        """Begin a turn: something may be claimable."""
        self._bell.set()

    def ring_stop(self) -> None:
        """Ask which of the claims held here are gone."""
        self._must_check_claims = True
        self._bell.set()

    @property
    def unwritten(self) -> int:
        """How many outcomes wait to be written, or for the word that they are."""
        return len(self._recorder) + self._in_flight

    @property
    def accountable(self) -> int:
        """How many running rows the table should have for this lane."""
        return len(self.slots.claims()) + self.unwritten

    def known(self) -> set[UUID]:
        """Return the claims that run here or whose outcome waits to be written."""
        return {claim.claim_id for claim in self.slots.claims()} | self._recorder.claims()

    async def run(self) -> None:
        """Work until `stop`, and then until every outcome is written. Stays while the database is away."""
        patience = Patience(longest_seconds=5)
        while True:
            try:
                await self._turn()
            except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
                await self._stay(error, patience)
                continue
            self._standing.back(self)
            patience.reset()
            if not (self.is_open or self.slots or self._recorder):
                return
            await self._rest()

    async def stop(self, grace_seconds: float, hurried: asyncio.Event) -> None:
        """Start nothing more; give running tasks *grace_seconds*, or until *hurried*, then cancel them and hand them back unharmed."""
        self.is_open = False
        self._bell.set()
        await self.slots.empty(grace_seconds, hurried)
        self._bell.set()

    # One turn of the wheel.

    async def _turn(self) -> None:
        self._bell.clear()
        async with self._accounts.turn(self._adopt):
            if self._must_check_claims:
                await self._check_claims()
            if monotonic() >= self._start_over_at:
                self._position, self._start_over_at = None, monotonic() + _START_OVER_SECONDS
            look, from_start = self._look.take(), self._position is None
            slots, outcomes = await self.slots.take() if self.is_open else 0, self._recorder.take()
            if not (slots or outcomes or look):
                return  # rung while it filled
            answer = await self._send(outcomes, slots, look=look)
            self._settle_accounts(answer, outcomes)
            self.slots.give(slots - len(answer.claimed))
            begin = self.slots.start if self.is_open else self.slots.hand_back
            for claim in answer.claimed:
                begin(claim)
        if len(answer.claimed) < slots:
            # Short is not empty: rows may have been locked, or lie before the position. Only after a claim from the start it may rest.
            self._position = None
            if not from_start:
                self._bell.set()
        elif slots or look:
            self._position = answer.position
            if self.is_open:
                self._on_full()
        self._plan_rest(answer, looked=look)

    async def _send(self, outcomes: list[Outcome], slots: int, *, look: bool) -> Answer:
        self._in_flight = len(outcomes)
        try:
            answer = await self._store.cycle.turn(self._worker, outcomes, slots, look=look, careful=self._careful, position=self._position)
        except BaseException as error:
            if isinstance(error, DatabaseLost):
                self._perhaps_written.update(outcome.claim.claim_id for outcome in outcomes)
            self._recorder.put_back(outcomes)
            self.slots.give(slots)
            self._look.now()
            raise
        finally:
            self._in_flight = 0
        self._careful = False
        return answer

    def _plan_rest(self, answer: Answer, *, looked: bool) -> None:
        now = monotonic()
        if looked:
            self._rest_until = None if answer.sleep_seconds is None else now + answer.sleep_seconds
        else:
            self._rest_until = self._look.due_at  # what this cycle could not settle waits for a look
        if answer.locked:
            self._rest_until = now + LOOK_SECONDS
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
            self._look.now()

    def _settle_accounts(self, answer: Answer, outcomes: list[Outcome]) -> None:
        locked = set(answer.locked)
        if locked:
            self._recorder.put_back(outcome for outcome in outcomes if outcome.claim.claim_id in locked)
        for claim_id in answer.refused:
            if claim_id not in self._perhaps_written:
                _log.warning("task.result_refused", claim=str(claim_id))
        for claim_id in answer.unstorable:
            _log.error("task.result_unstorable", claim=str(claim_id))
        self._count(answer, outcomes, locked)
        if self._perhaps_written:
            self._perhaps_written.difference_update(outcome.claim.claim_id for outcome in outcomes if outcome.claim.claim_id not in locked)

    def _count(self, answer: Answer, outcomes: list[Outcome], locked: set[UUID]) -> None:
        # What is refused now, and was sent in a call that failed, was written by that call.
        odd = locked | (set(answer.refused) - self._perhaps_written) | set(answer.unstorable)
        written = [outcome for outcome in outcomes if outcome.claim.claim_id not in odd] if odd else outcomes
        self._recorder.recorded(written, unstorable=len(answer.unstorable))

    # What the table says of our claims.

    def _adopt(self, strays: list[Claim]) -> None:
        for claim in strays:
            _log.warning("claim.handed_back", flow=claim.flow_id, seq=str(claim.seq), program=claim.program)
            self._recorder.add(Outcome(claim, Status.WAIT, unharmed=True))
        self._on_compared()

    async def _check_claims(self) -> None:
        """Stop the tasks whose claim is gone."""
        self._must_check_claims = False
        held = self.slots.claims()
        if held:
            try:
                self.slots.take_away(await self._store.workers.gone(held))
            except BaseException:
                self._must_check_claims = True
                raise

    # The database is away.

    async def _stay(self, error: DatabaseLost | ConfigurationError | asyncpg.PostgresError, patience: Patience) -> None:
        if isinstance(error, asyncpg.PostgresError):
            if not self._careful:
                # A value, or somebody's trigger or constraint, refuses one row: the next call finds out which, and does the rest.
                self._careful = True
                return
            self._standing.failed(self, error)
        else:
            self._standing.lost(self, error)
        self._accounts.doubt()
        await patience.wait()

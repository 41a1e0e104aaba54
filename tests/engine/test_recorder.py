"""The recorder: what ended waits in order, in batches that one call can carry."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from flower.core.model import Claim, Outcome
from flower.core.status import Status
from flower.engine.recorder import Recorder
from flower.engine.tally import Tally


def outcomes(count: int) -> list[Outcome]:
    claims = [Claim("flow", Decimal(number), "workflow", "step", "program", "{}", 1, uuid4()) for number in range(count)]
    return [Outcome(claim, Status.FINISH, None, "null") for claim in claims]


def gathering(*given: Outcome) -> Recorder:
    recorder = Recorder(Tally())
    for outcome in given:
        recorder.add(outcome)
    return recorder


def test_what_was_gathered_is_taken_once_and_in_order() -> None:
    first, second = given = outcomes(2)
    recorder = gathering(first, second)
    assert len(recorder) == 2
    assert recorder.take() == given
    assert recorder.take() == []
    assert len(recorder) == 0


def test_one_batch_has_at_most_a_thousand() -> None:
    given = outcomes(2_500)
    recorder = gathering(*given)
    batches = [recorder.take() for _ in range(4)]
    assert [len(batch) for batch in batches] == [1_000, 1_000, 500, 0]
    assert [outcome for batch in batches for outcome in batch] == given


def test_what_is_put_back_comes_before_what_was_gathered_meanwhile() -> None:
    given = outcomes(4)
    recorder = gathering(*given[:3])
    sent = recorder.take()
    recorder.add(given[3])

    recorder.put_back(sent)

    assert recorder.take() == given


def test_a_part_can_be_put_back() -> None:
    first, second, third = outcomes(3)
    recorder = gathering(first, second, third)
    recorder.put_back(outcome for outcome in recorder.take() if outcome is not second)
    assert recorder.take() == [first, third]


def test_the_claims_are_those_whose_outcome_waits_here() -> None:
    first, second = outcomes(2)
    recorder = gathering(first)
    recorder.take()
    recorder.add(second)
    assert recorder.claims() == {second.claim.claim_id}

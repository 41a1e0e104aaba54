"""What a running task may ask about itself."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from structlog.testing import capture_logs

from flower.core.model import Claim
from flower.sdk.context import Context


def claim(attempt: int) -> Claim:
    return Claim("flow", Decimal("1.5"), "digest", "fetch", "fetch-it", "{}", attempt, uuid4())


def test_the_key_is_the_same_for_each_attempt() -> None:
    assert Context(claim(1)).key == Context(claim(2)).key == "flow/1.5"


def test_a_task_knows_its_place() -> None:
    here = Context(claim(2))
    assert (here.flow_id, here.seq, here.workflow, here.name, here.attempt) == ("flow", Decimal("1.5"), "digest", "fetch", 2)


def test_every_event_says_flow_seq_and_attempt() -> None:
    with capture_logs() as events:
        here = Context(claim(2))
        here.log.info("page.fetched", size=3)
        assert here.log is here.log
    assert events == [{"event": "page.fetched", "log_level": "info", "flow": "flow", "seq": "1.5", "attempt": 2, "size": 3}]

"""A flow that waits, and the signals that somebody sends it from a terminal: with the command line, curl and psql."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_recovery import flower, said
from tests.terminal import Terminal, serving
from tests.test_tutorial import home

pytestmark = pytest.mark.timeout(120)

EXAMPLE = Path(__file__).parents[2] / "examples" / "payment.py"


@pytest.fixture(scope="module")
def terminal(short_folder: Path) -> Iterator[Terminal]:
    folder = home(short_folder, "signals")
    (folder / "payment.py").write_text(EXAMPLE.read_text())
    with serving(folder, "payment.py") as terminal:
        yield terminal


def started(terminal: Terminal, number: int) -> str:
    """Return a flow that has come to wait for its payment."""
    done = flower(terminal, "start", "sell", "--param", f"number={number}", "--param", "amount=30")
    flow = done.stdout.strip()
    until = time.monotonic() + 20
    while "waits for the signal" not in flower(terminal, "why", flow).stdout:
        assert time.monotonic() < until
    return flow


def result(terminal: Terminal, flow: str) -> object:
    until = time.monotonic() + 20
    while (shown := said(terminal, "show", flow))["status"] != "finish":
        assert time.monotonic() < until, shown
    return shown["result"]


def test_each_way_to_send_a_signal_continues_its_flow(terminal: Terminal) -> None:
    flows = {number: started(terminal, number) for number in (1, 2, 3)}

    told = flower(terminal, "signal", "payment", "--key", "order-1", "--payload", '{"amount": 30, "by": "card"}')
    assert (told.returncode, told.stdout) == (
        0,
        "the signal 'payment' with key 'order-1' is sent: one step waits for it, and goes on\n",
    )
    told = flower(terminal, "signal", "payment", "--key", "nobody's")
    assert told.stdout.endswith("is sent: nobody waits for it yet, so it is kept for the first step that comes to wait for it\n")
    body = json.dumps({"key": "order-2", "payload": {"amount": 30, "by": "curl"}})
    terminal.run(f"curl -s -X POST localhost:8000/api/signals/payment -H 'Content-Type: application/json' -d '{body}'")
    terminal.query("BEGIN; SELECT flower_signal('payment', 'order-3', '{\"amount\": 29, \"by\": \"psql\"}'); COMMIT;")

    assert [result(terminal, flows[number]) for number in (1, 2, 3)] == [
        "order-1 is paid by card",
        "order-2 is paid by curl",
        "order-3 is paid by psql, 1 are missing",
    ]


def test_what_waits_is_shown_and_may_be_completed_by_hand(terminal: Terminal) -> None:
    flow = started(terminal, 4)

    shown = flower(terminal, "show", flow).stdout
    assert "payment" in shown
    assert "wait" in shown
    assert "waits for the signal 'payment' with key 'order-4' since " in flower(terminal, "why", flow).stdout
    assert ", until " in flower(terminal, "why", flow).stdout
    assert [item["flowId"] for item in said(terminal, "flows", "--status", "wait")["items"]] == [flow]
    assert flower(terminal, "repro", flow, "payment").returncode == 1
    assert flower(terminal, "complete", flow, "payment", "--result", '{"amount": 30, "by": "hand"}').returncode == 0
    assert result(terminal, flow) == "order-4 is paid by hand"


def test_sent_twice_or_with_wrong_words(terminal: Terminal) -> None:
    once = ("signal", "payment", "--key", "x", "--idempotency-key", "k", "--payload")
    assert "signalId" in said(terminal, *once, "1")
    assert "was sent before with this idempotency key" in flower(terminal, *once, "1").stdout

    for arguments, status, words in [
        ((*once, "2"), 1, "was used before with another payload"),
        (("signal", "a\nb"), 1, "name: must be a text of 1 to 256 characters"),
        (("signal", "a", "--key", "é" * 257), 1, "key: has 514 bytes, the limit is 512"),
        (("signal", "a", "--payload", "{"), 2, "this is not JSON"),
        (("signal", "a", "--payload", "@nowhere.json"), 2, "cannot read nowhere.json"),
        (("signal",), 2, "Missing argument 'NAME'"),
    ]:
        done = flower(terminal, *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr

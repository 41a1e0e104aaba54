"""What `show` and `start --wait` make of a flow: the failing task first, nothing obeyed, nothing secret, the right exit status."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from flower.cli.database import connection_of
from flower.cli.output import print_table, short
from flower.cli.repro import test_file as written_test
from flower.cli.show import print_flow
from flower.cli.waiting import exit_status
from flower.core.model import Flow, Task
from flower.core.status import Status, Why
from flower.core.steps import number, which_attempt

BEGAN = datetime(2030, 1, 1, 12, tzinfo=UTC)


def a_task(seq: str = "1", status: Status | Decimal = Status.FINISH, outcome: Why | None = None, **fields: Any) -> Task:
    task = Task(
        flow_id="0198-flow",
        seq=Decimal(seq),
        step_seq=Decimal(seq),
        workflow="shop",
        name=f"step{seq}",
        program="resize",
        status=Decimal(status),
        outcome=outcome,
        attempt=1,
        crashes=0,
        priority=Decimal(0),
        parameters={"width": 800},
        result=None,
        error=None,
        notice=None,
        depends_on=(),
        worker=None,
        registered_at=BEGAN,
        started_at=BEGAN,
        finished_at=BEGAN + timedelta(seconds=2) if status == Status.FINISH else None,
        suspended_at=None,
        run_after=None,
    )
    return replace(task, **fields)


def a_flow(status: Status = Status.FINISH, *, stalled: bool = False) -> Flow:
    return Flow("0198-flow", "shop", status, stalled, Decimal(0), BEGAN, BEGAN + timedelta(seconds=65), {"finish": 1}, None)


def shown(capsys: pytest.CaptureFixture[str], flow: Flow, *tasks: Task) -> str:
    print_flow(flow, tasks, as_json=False)
    return capsys.readouterr().out


ERROR = {
    "type": "ValueError",
    "message": "no such width",
    "where": "app.py:12 in resize",
    "traceback": "ValueError: no such width\n  app.py:12 in resize\n    raise ValueError",
}


DEFAULTED = {"type": "SignalTimeout", "message": "no signal 'go' came within 1 s: it goes on with its default", "at": "2030-01-01T12:00:01+00:00"}
NOTICE = {"type": "LoopBlocked", "message": "it blocked the event loop", "where": "app.py:7 in wait", "at": "2030-01-01T12:00:01+00:00"}


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (NOTICE, "it blocked the event loop (app.py:7 in wait)"),
        (DEFAULTED, "no signal 'go' came within 1 s: it goes on with its default"),
        ({"token": "sk-1"}, '{"token": "***"}'),
        ("odd \x1b[31m", "odd \\x1b[31m"),
    ],
    ids=["ours", "the engine's", "a hand's", "an odd one"],
)
def test_what_a_worker_noticed_stands_before_the_table_whatever_became_of_the_task(
    capsys: pytest.CaptureFixture[str], notice: object, line: str
) -> None:
    lead, _, _ = shown(capsys, a_flow(), a_task("1"), a_task("2", notice=notice)).partition("\nSEQ")
    assert f"\nTask 2 (step2), attempt 1: {line}\n" in lead
    assert "Task 1" not in lead


@pytest.mark.parametrize(("attempt", "told"), [(3, "3 of 3"), (7, "3 of 3, in all 7")])
def test_attempts_that_count_no_more_are_told_apart_from_those_used_up(attempt: int, told: str) -> None:
    assert which_attempt(a_task(attempt=attempt, tries=3, attempts=3)) == told


def test_the_failing_task_comes_first_with_all_that_is_known_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    failing = a_task("2", Status.SUSPEND, Why.FAILED, error=ERROR, parameters={"width": -1, "api_key": "sk-1"})
    text = shown(capsys, a_flow(Status.SUSPEND, stalled=True), a_task("1"), failing, a_task("3", Status.WAIT))
    lead, _, table = text.partition("\nSEQ")
    assert "\nTask 2 (step2) failed\n" in lead
    for known in ("resize", "ValueError: no such width", "app.py:12 in resize", '{"width": -1, "api_key": "***"}', "    raise ValueError"):
        assert known in lead
    assert "python -m flower rerun 0198-flow --from 2" in lead
    assert "python -m flower ignore 0198-flow 2 --reason" in lead
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["1", "2", "3"]
    assert "sk-1" not in text


def test_the_command_to_run_again_survives_odd_ids(capsys: pytest.CaptureFixture[str]) -> None:
    failing = a_task("1.50", Status.SUSPEND, Why.POISON, flow_id="it's $HOME `x`")
    text = shown(capsys, a_flow(Status.SUSPEND), failing)
    assert """rerun 'it'"'"'s $HOME `x`' --from 1.5""" in text


@pytest.mark.parametrize(
    ("name", "key", "arguments"),
    [
        ("payment", "order 7", "payment --key 'order 7' --payload '…'"),
        ("it's", "", "'it'\"'\"'s' --payload '…'"),
        ("-x", "-y", "--key -y --payload '…' -- -x"),
    ],
)
def test_a_step_to_which_no_signal_came_in_time_is_shown_with_what_sends_it(
    capsys: pytest.CaptureFixture[str], name: str, key: str, arguments: str
) -> None:
    error = {"type": "SignalTimeout", "message": "no signal came", "signal": name, "key": key}
    out = shown(capsys, a_flow(Status.SUSPEND), a_task("2", Status.SUSPEND, Why.FAILED, error=error))
    ways = [line.strip() for line in out.splitlines() if "python -m flower" in line]
    assert [" ".join(line.split()) for line in ways] == [
        f"send it python -m flower signal {arguments}",
        "and retry python -m flower retry 0198-flow 2",
        "or hand in python -m flower complete 0198-flow 2 --result '…' --reason …",
    ]


def test_what_a_hand_wrote_of_a_signal_is_shown_like_any_failure(capsys: pytest.CaptureFixture[str]) -> None:
    for error in ({"type": "SignalTimeout"}, {"type": "SignalTimeout", "signal": [1]}):
        assert "rerun 0198-flow --from 2" in shown(capsys, a_flow(Status.SUSPEND), a_task("2", Status.SUSPEND, Why.FAILED, error=error))


def test_other_failures_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, a_flow(Status.SUSPEND), a_task("1", Status.SUSPEND, Why.FAILED), a_task("2", Status.SUSPEND, Why.INVALID))
    assert "Also suspended: 2 (step2) invalid" in text


def test_an_approval_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, a_flow(Status.SUSPEND), a_task("1", Status.SUSPEND, Why.APPROVAL, error={"message": "amount differs"}))
    assert "Task 1 (step1) waits for a person: amount differs" in text
    assert "run again" not in text


@pytest.mark.parametrize("error", [None, "text", 7, [], {}, {"message": None}, {"traceback": 3, "type": {}}])
def test_whatever_a_hand_wrote_into_the_error_is_shown(capsys: pytest.CaptureFixture[str], error: Any) -> None:
    assert "Task 1 (step1) failed" in shown(capsys, a_flow(Status.SUSPEND), a_task("1", Status.SUSPEND, Why.FAILED, error=error))


def test_nothing_that_is_shown_is_obeyed_by_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\x9b\r\x07\u2028[bold red]b"
    failing = a_task(
        "1", Status.SUSPEND, Why.FAILED, name=evil, program=evil, flow_id=evil, parameters={evil: evil}, error={"type": evil, "traceback": evil}
    )
    text = shown(capsys, replace(a_flow(Status.SUSPEND), flow_id=evil, workflow=evil), failing, a_task("2", result=evil))
    assert not set("\x1b\x9b\r\x07\u2028") & set(text)
    assert "[bold red]" in text


def test_what_is_piped_has_whole_lines_and_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("one", "two"), [("x" * 300, "y"), ("short", "")])
    assert capsys.readouterr().out.splitlines() == ["ONE" + " " * 297 + "  TWO", "x" * 300 + "  y", "short"]


def test_json_is_the_shape_of_the_http_interface(capsys: pytest.CaptureFixture[str]) -> None:
    print_flow(a_flow(), [a_task()], as_json=True)
    flow = json.loads(capsys.readouterr().out)
    assert flow["flowId"] == "0198-flow"
    assert flow["registeredAt"] == "2030-01-01T12:00:00Z"
    assert flow["tasks"][0]["startedAt"] == "2030-01-01T12:00:00Z"


def test_long_values_are_cut_and_secrets_masked() -> None:
    assert short({"password": "hunter2"}) == '{"password": "***"}'
    assert short("x" * 100, 10) == "xxxxxxxxx…"
    assert short(None) == ""
    assert short(float("nan"))


@pytest.mark.parametrize(("seq", "written"), [("3", "3"), ("1.50", "1.5"), ("10", "10"), ("NaN", "NaN"), ("1E+3", "1000")])
def test_a_seq_is_written_as_people_write_it(seq: str, written: str) -> None:
    assert number(Decimal(seq)) == written


@pytest.mark.parametrize(
    ("flow", "tasks", "status"),
    [
        (a_flow(), [a_task()], 0),
        (a_flow(), [a_task(status=Status.IGNORE, outcome=Why.SKIPPED)], 0),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND, outcome=Why.FAILED)], 1),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND, outcome=Why.POISON)], 1),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND, outcome=Why.INVALID)], 1),
        (a_flow(Status.IGNORE), [a_task(status=Status.IGNORE, outcome=Why.CANCELLED)], 1),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND, outcome=Why.APPROVAL)], 3),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND)], 3),
        (a_flow(Status.SUSPEND, stalled=True), [a_task(status=Status.SUSPEND, outcome=Why.APPROVAL), a_task("2", Status.SUSPEND, Why.FAILED)], 1),
    ],
)
def test_the_exit_status_tells_how_the_flow_stands(flow: Flow, tasks: list[Task], status: int) -> None:
    assert flow.is_over
    assert exit_status(flow, tasks) == status


def test_a_flow_of_which_something_still_runs_is_not_over() -> None:
    assert not a_flow(Status.RUNNING).is_over
    assert not a_flow(Status.WAIT).is_over
    assert not a_flow(Status.SUSPEND, stalled=False).is_over


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("postgresql://me:p%40w@h:5/db?sslmode=require", "postgresql://me@h:5/db?sslmode=require", "p@w"),
        ("postgresql:///db?host=/folder", "postgresql:///db?host=/folder", None),
        ("postgresql://me:@/db?host=/folder&password=pw", "postgresql://me@/db?host=/folder", "pw"),
        ("postgresql://me@[::1]/db", "postgresql://me@[::1]/db", None),
    ],
)
def test_psql_gets_the_password_by_its_environment_only(url: str, address: str, password: str | None) -> None:
    found, environment = connection_of(url, "public")
    assert found == address
    assert environment.get("PGPASSWORD") == password
    assert environment["PGOPTIONS"].endswith("-c search_path=public")


def test_psql_finds_the_tables_in_their_schema_and_keeps_the_options_of_the_url() -> None:
    address, environment = connection_of("postgresql:///db?options=-c%20work_mem%3D1MB", "flow")
    assert address == "postgresql:///db"
    assert environment["PGOPTIONS"] == "-c work_mem=1MB -c search_path=flow,public"


def test_what_a_hand_has_called_a_flow_stays_text_in_a_written_test() -> None:
    evil = 'f"""\nimport os\\N\n"""'
    parsed = ast.parse(written_test(a_task("1", flow_id=evil, name=evil, program=evil, parameters={evil: evil}), "app"))

    assert [type(node).__name__ for node in parsed.body] == ["Expr", "Import", "ImportFrom", "Assign", "FunctionDef"]
    assert [node.names[0].name for node in parsed.body if isinstance(node, ast.Import)] == ["json"]

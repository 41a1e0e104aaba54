"""The pages as they come over HTTP, on a real database. How they look and what they do is in tests/browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from urllib.parse import quote

import pytest
from markupsafe import escape

from flower.core.definition import DefinedStep, Definition
from flower.core.model import Json, Order, Outcome, Program
from flower.core.status import Status, Why
from flower.database.pool import Connection, Pool
from flower.database.store import Store
from flower.web import words
from tests.sql.engine import Engine
from tests.web.asking import Client, send
from tests.web.test_end_to_end import serve

PAGE = {"Accept": "text/html"}


@pytest.fixture
async def site(pool: Pool) -> AsyncIterator[Client]:
    async for client in serve(Store(pool)):
        yield client


async def one_step(pool: Pool, workflow: str) -> str:
    """Return the id of a flow of a workflow of one step."""
    store = Store(pool)
    await store.workflows.define(Definition(workflow, (DefinedStep(Decimal(1), "only", "Ok", (), {}),), None, None, None), origin="http", code=False)
    return (await store.flows.register(Order(workflow))).flow_id


async def read(client: Client, target: str) -> tuple[int, str]:
    answer = await send(client, "GET", target, headers=PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    return answer.status, await answer.text()


@pytest.fixture
async def flow(pool: Pool, connection: Connection) -> str:
    """A flow that has failed at its first task, with secrets wherever one can stand."""
    engine, workflows = await Engine(pool).enroll("Ok"), Store(pool).workflows
    takes = {"token": {"schema": {"type": "string"}, "default": "canary-3"}}
    for first in ({"api_key": "canary-1", "url": "u"}, {"api_key": "canary-4"}):
        steps = (
            DefinedStep(Decimal(1), "load", "Ok", (), first),
            DefinedStep(Decimal(2), "join", "Ok", (Decimal(1),), {"nested": {"password": "canary-2"}}),
        )
        await workflows.define(Definition("with secrets", steps, takes, None, None), origin="http", code=False)
    flow = str(await connection.fetchval("SELECT flower_register('with secrets')"))
    (claim,) = await engine.claim()
    error = {"type": "E", "message": '{"password": "canary-5"}', "secret": "canary-6"}
    await engine.turn([Outcome(claim, Status.SUSPEND, Why.FAILED, json.dumps(error))])
    await connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 0)")
    await connection.execute("INSERT INTO ms_pause (kind, task_id) VALUES ('all', '*'), ('limit', 'stripe')")
    await connection.execute(
        """INSERT INTO ms_schedule (name, task_id, cron, parameters) VALUES ('nightly', 'with secrets', '30 2 * * *', '{"token": "canary-9"}')"""
    )
    await connection.execute('UPDATE kr_task_stat SET result = \'{"token": "canary-7"}\', notice = \'{"api_key": "canary-8"}\'')
    return flow


def addresses(flow: str) -> list[str]:
    task = f"flow={flow}&task=1"
    return [
        *("/", "/flows", "/flows?status=failed", "/workflows", "/workers", "/sign-in", "/limits", "/schedules", "/schedules/nightly"),
        *(f"/ask/{what}" for what in ("limit", "limit?name=stripe", "limit/remove?name=stripe", "unpause?kind=all")),
        *(f"/ask/pause?kind={kind}" for kind in ("workflow", "program", "limit", "all")),
        *(f"/ask/schedule{verb}?name=nightly" for verb in ("", "/fire", "/pause", "/unpause", "/remove", "/backfill")),
        "/ask/schedule/backfill?name=nightly&from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z",
        *(f"/workflows/with%20secrets{part}" for part in ("", "?show=start", "?show=revisions", "?show=revisions&revision=2")),
        *(f"/flows/{flow}{view}" for view in ("", "?view=timeline", "?view=table", "?view=table&status=failed&from=1", "?task=1&zoom=8&at=0.5")),
        *(f"/ask/{verb}?flow={flow}" for verb in ("rerun", "rerun", "cancel", "suspend", "resume", "priority")),
        *(f"/ask/{verb}?{task}" for verb in ("rerun", "ignore", "complete", "retry")),
        f"/ask/rerun?{task}&what=only",
        f"/ask/rerun?flow={flow}&what=whole&definition=latest",
        *(f"/ask/many/{verb}?{which}" for verb in ("rerun", "cancel") for which in (f"flow={flow}", "status=failed", f"flow={flow}&flow=gone")),
    ]


async def test_no_page_shows_a_secret_and_none_changes_anything(site: Client, connection: Connection, flow: str) -> None:
    before = await everything(connection)

    for address in addresses(flow):
        status, text = await read(site, address)
        assert (address, status) == (address, 200)
        assert re.findall(r"canary-\d", text) == [], address

    assert await everything(connection) == before


async def everything(connection: Connection) -> str:
    tables = [
        row[0] for row in await connection.fetch("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    ]
    rows = [await connection.fetchval(f"SELECT coalesce(json_agg(t ORDER BY t::text), '[]')::text FROM \"{table}\" t") for table in sorted(tables)]
    return json.dumps(rows)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/flows/gone", 404),
        ("/flows/%00", 422),
        ("/workflows/gone", 404),
        ("/nothing/here", 404),
        ("/flows?status=odd", 422),
        ("/flows?nothing=1", 422),
        ("/flows?status=wait&status=finish", 422),
        ("/flows?after=made-up", 422),
        ("/flows?within=1y", 422),
        ("/flows?since=yesterday", 422),
        ("/ask/rerun", 422),
        ("/ask/rerun?flow=gone", 404),
        ("/ask/many/rerun", 422),
        ("/ask/many/cancel?incident=gone", 404),
        ("/ask/dance?flow=x", 404),
        ("/workflows?after=%F0%9F%8C%B8", 200),
    ],
)
async def test_what_cannot_be_shown_is_a_page_that_says_why(site: Client, address: str, status: int) -> None:
    found, text = await read(site, address)

    assert found == status
    assert "<h1" in text


@pytest.mark.parametrize(
    "odd", ["task=gone", "view=odd", "zoom=3.5", "zoom=9999", "at=nan", "at=-1", "after=NaN", "from=1e999", "task=", "status=odd"]
)
async def test_an_odd_view_of_a_flow_is_said_to_be_one(site: Client, flow: str, odd: str) -> None:
    status, text = await read(site, f"/flows/{flow}?view=table&{odd}" if not odd.startswith("view") else f"/flows/{flow}?{odd}")

    assert (status in {404, 422}) is (odd != "task="), text


async def test_a_program_is_told_in_json_what_a_person_is_told_on_a_page(site: Client) -> None:
    answer = await send(site, "GET", "/flows/gone")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json; charset=utf-8")


@pytest.mark.parametrize("name", ["a/b c", "花/🌸", "100%", "a?b#c", "x" * 256, "../..", "a&b=c;d", "./x", "x/"])
async def test_a_workflow_of_any_name_has_its_page_its_form_and_its_flows(site: Client, pool: Pool, name: str) -> None:
    flow = await one_step(pool, name)

    listed = (await read(site, "/workflows"))[1]
    address = f"/workflows/{words.address(name)}"
    assert f'href="{address}"' in listed
    for part in ("", "?show=start", "?show=revisions"):
        assert (await read(site, address + part))[0] == 200
    assert f'id="flow-{flow}"' in (await read(site, f"/flows?workflow={quote(name, safe='')}"))[1]


@pytest.mark.parametrize("flow_id", ["a/b", "花🌸", "x" * 256, "?#&%", "' onload='x", ". ."])
async def test_a_flow_of_any_id_that_a_hand_has_written_has_its_page(site: Client, connection: Connection, flow_id: str) -> None:
    await connection.execute(
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters)
           VALUES ($1, 1.5, -1, 'hello', 1, 7, '[1]'), ($1, 'NaN', 1.5, 'hello', 1, 2, '"x"')""",
        flow_id,
    )
    await connection.execute("INSERT INTO kr_flow_stat (task_flow_id, task_id) VALUES ($1, 'hello')", flow_id)
    for view in ("", "?view=timeline", "?view=table", "?task=NaN", "?task=1.5"):
        assert (await read(site, f"/flows/{quote(flow_id, safe='')}{view}"))[0] == 200, view


async def test_a_result_is_asked_for_by_a_field_of_the_type_that_the_program_said(site: Client, pool: Pool) -> None:
    engine = await Engine(pool).enroll(Program("Ok", (), result={"enum": ["yes", "no"]}))
    flow = await one_step(pool, "one")
    await engine.claim()

    text = (await read(site, f"/ask/complete?flow={flow}&task=1"))[1]

    assert re.search(r"<select[^>]*data-key=\"result\"", text)
    assert '<option value="&#34;yes&#34;">yes</option>' in text


@pytest.mark.parametrize(
    "reason",
    [
        "closed until 2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-01-01T00:00:00+99:99",
        "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
        "20000-01-01T00:00:00Z",
    ],
)
async def test_what_only_looks_like_a_time_is_shown_as_it_is(site: Client, pool: Pool, connection: Connection, reason: str) -> None:
    flow = await one_step(pool, "one")
    await connection.execute("SELECT flower_suspend($1, $2)", flow, json.dumps({"reason": reason}))

    status, text = await read(site, f"/flows/{flow}")

    assert (status, escape(reason) in text) == (200, True)


async def test_rows_that_a_hand_has_spoilt_break_no_page(site: Client, pool: Pool, connection: Connection) -> None:
    flow = await one_step(pool, "one")
    for statement in (
        "UPDATE kr_task_stat SET rank = -2147483648, program = 'nobody has it'",
        """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, rank, finished_ts, started_ts, suspended_ts,
               registered_ts, run_after, error)
           SELECT task_flow_id, x.seq, 1, 'one', 1, x.status, '{}', 2147483647, x.at, x.at, x.at, x.at, x.at, '{"type": {"password": "canary"}, "message": [1]}'
           FROM kr_task_stat, (VALUES ('Infinity'::numeric, 3, 'infinity'::timestamptz), ('NaN', 2, '-infinity'), (7, 3, NULL), (8, 5, '20000-01-01'), (12345678901234567890123456789.01, 0, '4000-01-01 BC'),
               (12345678901234567890123456789.02, 1, NULL)) x (seq, status, at)""",
        """INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, beat_ts, started_ts, lease_until)
           VALUES (gen_random_uuid(), '', -1, '', -5, ARRAY[NULL, 'a'], '-infinity', 'infinity', 'infinity'), (gen_random_uuid(), '', 0, '', 0, '{{a,b},{c,d}}', now(), now(), now() + interval '1 h')""",
        """INSERT INTO kr_minute (minute, worker_id, finished, failed, retried) SELECT date_trunc('minute', now()), gen_random_uuid(), f, -f, 0
           FROM unnest(ARRAY[9223372036854775807, 9223372036854775807]) f""",
        """UPDATE ms_workflow SET takes = '{"a": [1], "b": null, "c": {"schema": {"enum": 5}}, "d": {"schema": {"type": "object", "properties": 5}}, "e": {"schema": {"$ref": "x", "$defs": [1]}},
               "f": {"schema": {"$ref": "#/$defs/x", "$defs": {"x": true}}}, "secret": "canary"}'""",
        """UPDATE ms_workflow_revision SET steps = '["abc", null, {"seq": 1}, {"name": "x", "parameters": [1]}]', takes = '{"secret": "canary"}'""",
    ):
        await connection.execute(statement)
    await connection.execute(
        'INSERT INTO ms_workflow_revision (task_id, revision, steps, takes) VALUES (\'one\', 1000, \'[{"name": "x", "parameters": "text"}]\', \'[]\')'
    )

    seqs = ["1", "7", "8", "NaN", "Infinity", "12345678901234567890123456789.01"]
    addresses_ = [
        *("/", "/workers", "/workflows", "/workflows/one?show=start", "/workflows/one?show=revisions", "/workflows/one?show=revisions&revision=1000"),
        *(f"/flows/{flow}{view}" for view in ("", "?view=timeline", "?view=table")),
        *(f"/flows/{flow}?task={seq}" for seq in seqs),
        *(f"/ask/{verb}?flow={flow}&task={seq}" for verb in ("rerun", "ignore", "complete", "retry") for seq in seqs),
    ]
    for address in addresses_:
        status, text = await read(site, address)
        # JSON has no number for some of these seqs, so that a verb may not find its task.
        assert status in ({200, 404, 409} if address.startswith("/ask/") else {200}), (address, text)
        assert "canary" not in text, address
    for address in ("/api/workers", "/api/overview", f"/api/flows/{flow}/why"):
        assert (await send(site, "GET", address)).status == 200, address


@pytest.mark.parametrize("takes", [None, {"url": {"schema": {"type": "string"}}}, {"url": [1]}, {"url": "text"}])
async def test_another_flow_like_one_begins_with_its_parameters(site: Client, pool: Pool, connection: Connection, takes: Json) -> None:
    await Engine(pool).enroll(Program("Ok", ("url", "api_key"), accepts={"url": {"type": "string"}}))
    flow = await one_step(pool, "one")
    await connection.execute("UPDATE kr_flow_stat SET parameters = $1", json.dumps({"url": "given-url", "api_key": "canary"}))
    await connection.execute("UPDATE ms_workflow SET takes = $1", takes and json.dumps(takes))

    status, text = await read(site, f"/workflows/one?show=start&flow={flow}")

    assert (status, "given-url" in text, "canary" in text) == (200, True, False)


async def test_what_is_very_large_is_cut_and_does_not_hold_the_page_up(site: Client, pool: Pool, connection: Connection) -> None:
    flow = await one_step(pool, "one")
    text = json.dumps({"password": "canary", "rows": ["x" * 50] * 19_000})
    values = [json.dumps([1] * 400_000), json.dumps([{"a": n} for n in range(60_000)]), json.dumps(text), json.dumps("x" * 1_000_000)]
    await connection.execute(
        "UPDATE kr_task_stat SET exec_status = 2, outcome = 'failed', error = $1",
        json.dumps({"type": "E", "message": text, "traceback": "x" * 900_000}),
    )
    await connection.execute(
        """INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, result, error)
           SELECT $1, 1, n, 0, 'failed', $2, jsonb_build_object('message', repeat('m', 300000)) FROM generate_series(1, 100) n""",
        flow, values[0],
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO kr_task_log (task_flow_id, task_exec_seq, attempt, said_ts, level, source, message)
           SELECT $1, 1, 1, now(), 'info', 'stdout', repeat('l', 200000) FROM generate_series(1, 50)""",
        flow,
    )
    await connection.execute("INSERT INTO kr_audit (verb, task_flow_id) SELECT 'rerun', $1 FROM generate_series(1, 20000)", flow)
    for value in values:
        await connection.execute("UPDATE kr_task_stat SET result = $1", value)
        for view in ("", "?view=table", "?view=timeline"):
            began = time.perf_counter()
            status, page = await read(site, f"/flows/{flow}{view}")
            assert (status, "canary" in page) == (200, False)
            assert len(page) < 3_000_000
            assert time.perf_counter() - began < 1.5  # it was 23 s


async def test_a_name_that_would_climb_starts_nothing_else(site: Client, pool: Pool) -> None:
    await one_step(pool, "../api/flows/victim/cancel")

    status, text = await read(site, "/workflows/" + quote("../api/flows/victim/cancel", safe="") + "?show=start")

    assert status == 200
    assert 'data-send="/register/..%2Fapi%2Fflows%2Fvictim%2Fcancel"' in text
    assert 'href="/workflows/..%2Fapi%2Fflows%2Fvictim%2Fcancel"' in (await read(site, "/workflows"))[1]

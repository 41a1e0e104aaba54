"""/limits and /schedules as they come over HTTP, on a real database, and the forms that change what they show."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from markupsafe import escape

from flower.core.model import Json
from flower.database.pool import Connection, Pool
from tests.sql.engine import Engine, define
from tests.web.asking import Client, get, post, send
from tests.web.test_pages import PAGE, one_step, read, site

__all__ = ["site"]

ODD = ["a/b c", "花/🌸", "100%", "a?b#c", "x" * 250, "../..", "a&b=c;d", "{na me}", "' onload='x", "<script>hacked()</script>", "x/", '"><img src=x>']


async def row(client: Client, address: str, id_: str) -> str:
    """Return the row of a table as it stands on the page at *address*."""
    status, text = await read(client, address)
    assert status == 200
    found = re.search(rf'<tr id="{re.escape(str(escape(id_)))}">(.*?)</tr>', text, re.DOTALL)
    assert found, text
    return found[1]


async def set_limit(connection: Connection, name: str, slots: int | None, rate: str | None = None) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots, rate) VALUES ($1, $2, $3)", name, slots, rate)


async def write(client: Client, method: str, target: str, body: Json = None) -> tuple[int, Json]:
    answer = await send(client, method, target, json=body)
    return answer.status, await answer.json(content_type=None)


async def test_where_nothing_is_limited_paused_or_scheduled_the_pages_say_what_to_write(site: Client) -> None:
    limits, schedules = (await read(site, "/limits"))[1], (await read(site, "/schedules"))[1]

    assert "No limit is set" in limits
    assert "Nothing is paused." in limits
    assert "No workflow starts by the clock." in schedules


async def test_a_limit_is_shown_with_who_holds_it_who_waits_and_when_the_next_one_starts(site: Client, pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool).enroll("Ok")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program, limits) VALUES ('w', 1, 'Ok', '{stripe,slow}')")
    await set_limit(connection, "stripe", 2)
    flows = [str(await connection.fetchval("SELECT flower_register('w')")) for _ in range(5)]
    assert len(await engine.claim()) == 2
    await set_limit(connection, "slow", None, "1/h")

    text = await row(site, "/limits", "limit-stripe")

    assert 'aria-label="2 of 2 tasks run"' in text
    assert "2 tasks" in text
    assert re.search(r'<td class="number">3<span class="small"> waiting', text)
    assert sorted(re.findall(r'href="/flows/([^"]*)"', text)) == sorted(f"{flow}?task=1" for flow in flows[:2])
    slow = await row(site, "/limits", "limit-slow")
    assert "any number" in slow
    assert "1/h" in slow


async def test_when_a_rate_lets_the_next_one_start_is_told(site: Client, pool: Pool, connection: Connection) -> None:
    engine = await Engine(pool).enroll("Ok")
    await connection.execute("INSERT INTO ms_task_definition (task_id, task_seq, program, limits) VALUES ('w', 1, 'Ok', '{slow}')")
    await set_limit(connection, "slow", None, "1/h")
    for _ in range(2):
        await connection.execute("SELECT flower_register('w')")
    assert len(await engine.claim()) == 1

    assert re.search(r'next start </span><time datetime="[^"]+"', await row(site, "/limits", "limit-slow"))


async def test_a_limit_of_flows_is_held_by_flows(site: Client, pool: Pool, connection: Connection) -> None:
    await set_limit(connection, "workflow:one", 1)
    flow = await one_step(pool, "one")
    engine = await Engine(pool).enroll("Ok")
    await connection.execute("SELECT flower_register('one')")
    await engine.claim()

    text = await row(site, "/limits", "limit-workflow:one")

    assert "1 flow</td>" in text
    assert f'href="/flows/{flow}"' in text
    assert "at most 1 flow at once" in (await read(site, "/workflows/one"))[1]


async def test_a_limit_without_a_slot_says_that_nothing_may_start(site: Client, pool: Pool, connection: Connection) -> None:
    await one_step(pool, "one")
    for name in ("closed", "tenant:*", "workflow:one"):
        await set_limit(connection, name, 0)
    await set_limit(connection, "each:*", 3)

    assert "nothing may start" in await row(site, "/limits", "limit-closed")
    assert "each 3 tasks" in await row(site, "/limits", "limit-each:*")
    assert "nothing may start" in (await read(site, "/workflows/one"))[1]
    notices = re.findall(r'<li><a href="/limits"><strong>limit</strong></a> (.*?)</li>', (await read(site, "/"))[1])
    assert [notice.split(" has ")[0] for notice in notices] == ["closed", "tenant:*", "workflow:one"]
    assert "limit &#39;tenant:*&#39; 4" in notices[1]


async def test_limits_and_pauses_come_in_parts(site: Client, connection: Connection) -> None:
    await connection.execute("INSERT INTO ms_limit (name, slots) SELECT 'limit-' || lpad(n::text, 4, '0'), 1 FROM generate_series(1, 75) n")
    await connection.execute("INSERT INTO ms_pause (kind, task_id) SELECT 'program', 'p-' || lpad(n::text, 4, '0') FROM generate_series(1, 75) n")
    await connection.execute("INSERT INTO ms_pause (kind, task_id) VALUES ('limit', 'limit-0007')")

    first = (await read(site, "/limits"))[1]
    (after,) = re.findall(r'href="(\?after=[^"]*)"', first)
    (paused,) = re.findall(r'href="(\?paused=[^"]*)"', first)
    more_limits, more_pauses = (await read(site, f"/limits{after}"))[1], (await read(site, f"/limits{paused}"))[1]

    assert [text.count('<tr id="limit-') for text in (first, more_limits)] == [40, 35]
    assert [text.count('<tr id="pause-') for text in (first, more_pauses)] == [40, 36]
    assert all(len(text) < 60_000 for text in (first, more_limits, more_pauses))
    assert "Unpause limit limit-0007" in first  # in the row of the limit, though that pause stands in a later part


async def test_what_is_paused_is_shown_with_why_and_how_it_goes_on(site: Client, pool: Pool, connection: Connection) -> None:
    flow = await one_step(pool, "one")
    await set_limit(connection, "tenant:7", 1)
    for body in (
        {"workflow": "one", "reason": "stocktaking", "until": "2999-01-01T00:00:00Z"},
        {"program": "Ok"},
        {"limit": "tenant:*"},
        {"all": True, "reason": "move"},
    ):
        assert (await post(site, "/api/pause", json=body))[0] == 200
    await connection.execute('SELECT flower_suspend($1, \'{"reason": "ask anna"}\')', flow)

    workflow = await row(site, "/limits", "pause-workflow-one")
    assert "stocktaking" in workflow
    assert 'datetime="2999-01-01T00:00:00Z"' in workflow
    assert 'href="/workflows/one"' in workflow
    assert 'href="/ask/unpause?kind=workflow&amp;name=one"' in workflow
    assert "somebody unpauses" in await row(site, "/limits", "pause-program-Ok")
    assert 'href="/ask/unpause?kind=all"' in await row(site, "/limits", "pause-all-*")
    assert f'href="/ask/resume?flow={flow}"' in await row(site, "/limits", f"pause-flow-{flow}")
    limit = await row(site, "/limits", "limit-tenant:7")
    assert "paused" in limit
    assert 'href="/ask/unpause?kind=limit&amp;name=tenant%3A%2A"' in limit


async def test_a_workflow_says_that_it_is_paused_and_offers_to_let_it_go_on(site: Client, pool: Pool) -> None:
    await one_step(pool, "one")
    assert 'href="/ask/pause?kind=workflow&amp;name=one"' in (await read(site, "/workflows/one"))[1]

    await post(site, "/api/pause", json={"workflow": "one", "reason": "stocktaking"})

    text = (await read(site, "/workflows/one"))[1]
    assert re.search(r'id="paused">.*stocktaking', text)
    assert 'href="/ask/unpause?kind=workflow&amp;name=one"' in text


@pytest.mark.parametrize("name", ODD)
async def test_a_limit_a_pause_and_a_schedule_of_any_name_are_shown_and_asked_for(site: Client, connection: Connection, name: str) -> None:
    await define(connection, "w", {})
    await set_limit(connection, name, 1)
    await connection.execute(
        "INSERT INTO ms_pause (kind, task_id, reason, who) SELECT k, $1::text, $1::text, $1::text FROM unnest('{limit,program}'::text[]) k", name
    )
    await connection.execute("INSERT INTO ms_schedule (name, task_id, every, paused, reason) VALUES ($1::text, 'w', '1 h', true, $1::text)", name)
    addresses = []
    for page in ("/limits", "/schedules", f"/schedules/{quote(name, safe='')}", "/workflows/w"):
        status, text = await read(site, page)
        assert (page, status) == (page, 200)
        assert "<script>hacked" not in text
        assert "<img src=x" not in text
        addresses += re.findall(r'href="(/(?:ask|schedules)/[^"]*)"', text)

    for address in dict.fromkeys(addresses):
        status, text = await read(site, address.replace("&amp;", "&"))
        assert (address, status) == (address, 200)
        assert "<script>hacked" not in text
        assert "<img src=x" not in text
    removing = (await read(site, f"/ask/limit/remove?name={quote(name, safe='')}"))[1]
    (send_to,) = re.findall(r'data-send="([^"]*)" data-method="DELETE"', removing)
    assert await write(site, "DELETE", send_to) == (200, {"name": name, "removed": True})
    removing = (await read(site, f"/ask/schedule/remove?name={quote(name, safe='')}"))[1]
    (send_to,) = re.findall(r'data-send="([^"]*)" data-method="DELETE" data-then="/schedules"', removing)
    assert await write(site, "DELETE", send_to) == (200, {"schedule": name, "removed": True})


async def test_the_form_of_a_limit_has_what_it_is_and_empties_what_is_cleared(site: Client, connection: Connection) -> None:
    await set_limit(connection, "stripe", 4, "10/min")

    text = (await read(site, "/ask/limit?name=stripe"))[1]

    assert re.search(r'data-key="slots"[^>]* data-null type="number" value="4" min="0"', text)
    assert re.search(r'data-key="rate"[^>]* data-null type="text" value="10/min"', text)
    assert 'data-send="/api/limits/stripe" data-method="PUT"' in text
    assert 'href="/ask/limit/remove?name=stripe"' in text


async def test_a_limit_that_is_not_there_is_a_new_one_and_the_names_that_tasks_use_are_offered(site: Client, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_task_definition (task_id, task_seq, program, limits) VALUES ('w', 1, 'Ok', '{stripe,\"tenant:{customer}\"}')"
    )

    text = (await read(site, "/ask/limit?name=workflow:w"))[1]

    assert re.search(r'data-key="name"[^>]* data-needed data-named type="text" value="workflow:w"', text)
    assert ('data-key="slots"' in text, 'data-key="rate"' in text) == (True, False)  # a rate is for tasks
    assert 'data-send="/api/limits/" data-method="PUT"' in text
    assert re.findall(r'<option value="([^"]*)">', text) == ["stripe", "tenant:*"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("workflow", 'data-key="workflow"'),
        ("program", 'data-key="program"'),
        ("limit", 'data-key="limit"'),
        ("all", 'data-key="all" data-type="json" value="true"'),
    ],
)
async def test_a_pause_is_asked_for_by_what_is_to_be_held(site: Client, kind: str, field: str) -> None:
    text = (await read(site, f"/ask/pause?kind={kind}"))[1]

    assert field in text
    assert 'data-send="/api/pause"' in text
    assert re.search(r'data-key="until"[^>]*type="datetime-local"', text)


async def test_each_state_of_a_schedule_is_shown(site: Client, pool: Pool, connection: Connection) -> None:
    await define(connection, "w", {})
    await Engine(pool).enroll("Ok")
    await connection.execute(
        """INSERT INTO ms_schedule (name, task_id, cron, every, zone, paused, reason, error, next_ts) VALUES
            ('nightly', 'w', '30 2 * * *', NULL, 'Europe/Paris', false, NULL, NULL, NULL),
            ('held', 'w', NULL, '15 min', 'UTC', true, 'stocktaking', NULL, NULL),
            ('stopped', 'w', NULL, '90 min', 'UTC', false, NULL, 'the workflow is gone', NULL),
            ('over', 'w', '0 0 1 1 *', NULL, 'UTC', false, NULL, NULL, 'infinity')"""
    )
    flow = str(await connection.fetchval("SELECT flower_fire('nightly') ->> 'flowId'"))
    await connection.execute("INSERT INTO kr_schedule_turn (schedule, scheduled_ts) VALUES ('nightly', now()), ('nightly', now() - interval '1 day')")

    nightly, held, stopped, over = [await row(site, "/schedules", f"schedule-{name}") for name in ("nightly", "held", "stopped", "over")]

    assert "30 2 * * * Europe/Paris" in nightly
    assert re.search(r'<time datetime="[^"]+T0[01]:30:00Z".*, 02:30 Europe/Paris', nightly)
    assert f'href="/flows/{flow}"' in nightly
    assert "2 times in line" in nightly
    assert ("every 15m" in held, "paused" in held, "stocktaking" in held, "not by itself" in held, "Unpause…" in held) == (True,) * 5
    assert ("every 90m" in stopped, "stopped itself" in stopped, "the workflow is gone" in stopped, "no flow yet" in stopped) == (True,) * 4
    assert "not by itself" in over
    page = (await read(site, "/schedules/nightly"))[1]
    assert len(re.findall(r"<li><time[^>]*>[^<]*</time> <span class=\"dim\">[^<]*, 02:30 Europe/Paris", page)) == 5
    assert f'id="flow-{flow}"' in page
    assert "by the schedule" in (await read(site, f"/flows/{flow}"))[1]
    workflow = (await read(site, "/workflows/w"))[1]
    assert re.findall(r'href="/schedules/(\w+)"', workflow) == ["held", "nightly", "over", "stopped"]


async def test_schedules_that_a_hand_has_spoilt_break_no_page(site: Client, connection: Connection) -> None:
    await connection.execute(
        """INSERT INTO ms_schedule (name, task_id, cron, every, zone, parameters, since_ts, next_ts, last_ts, passed_ts, passed_why) VALUES
            ('a', 'gone', 'nonsense', NULL, 'Nowhere', '{}', '-infinity', NULL, NULL, NULL, NULL),
            ('b', 'gone', NULL, '1.5 s', 'Nowhere', '{}', 'infinity', '20000-01-01', '-infinity', '4000-01-01 BC', NULL),
            ('c', '', '0 0 29 2 *', NULL, '', '{"api_key": "canary"}', now(), '9999-12-31 23:59:59+00', 'infinity', 'infinity', 'why')"""
    )
    for name in "abc":
        for address in (
            f"/schedules/{name}",
            *(f"/ask/schedule{verb}?name={name}" for verb in ("", "/fire", "/pause", "/unpause", "/remove", "/backfill")),
        ):
            status, text = await read(site, address)
            assert (address, status, "canary" in text) == (address, 200, False)
    status, text = await read(site, "/schedules")
    assert (status, text.count('<tr id="schedule-')) == (200, 3)
    assert (await get(site, "/api/schedules"))[0] == 200


async def test_schedules_come_in_parts(site: Client, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO ms_schedule (name, task_id, every) SELECT 's-' || lpad(n::text, 4, '0'), 'w', '1 h' FROM generate_series(1, 70) n"
    )

    first = (await read(site, "/schedules"))[1]
    (after,) = re.findall(r'href="(\?after=[^"]*)"', first)
    rest = (await read(site, f"/schedules{after}"))[1]

    assert [text.count('<tr id="schedule-') for text in (first, rest)] == [50, 20]


async def test_the_form_of_a_schedule_has_what_it_is_and_can_be_sent_as_it_stands(site: Client, connection: Connection) -> None:
    await define(connection, "w", {})
    made = {
        "workflow": "w",
        "every": 5400,
        "parameters": {"top": 5},
        "priority": -3,
        "catchUp": "all",
        "catchUpMost": 7,
        "overlap": "skip",
        "onFailure": "hold",
    }
    assert (await write(site, "PUT", "/api/schedules/pulse", made))[0] == 200

    text = (await read(site, "/ask/schedule?name=pulse"))[1]

    assert 'data-send="/api/schedules/pulse" data-method="PUT"' in text
    given = dict(re.findall(r'<input id="field-\d+" data-key="(\w+)"[^>]* type="\w+" value="([^"]*)"', text))
    assert given == {"workflow": "w", "cron": "", "zone": "", "every": "90m", "priority": "-3", "catchUpMost": "7"}
    assert re.findall(r'<option value="([\w-]+)" selected', text) == ["all", "skip", "hold"]
    assert "&#34;top&#34;: 5" in text


async def test_a_backfill_says_for_which_times_there_is_no_flow(site: Client, connection: Connection) -> None:
    await define(connection, "w", {})
    await connection.execute("INSERT INTO ms_schedule (name, task_id, cron) VALUES ('daily', 'w', '0 8 * * *')")
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T00:00:00Z"}
    address = f"/ask/schedule/backfill?name=daily&from={span['from']}&to=2026-01-05T00:00:00Z"
    assert "data-send" not in (await read(site, "/ask/schedule/backfill?name=daily"))[1]
    assert "Without a flow: 4 times" in (await read(site, address))[1]

    await post(site, "/api/schedules/daily/backfill", json=span)

    text = (await read(site, address))[1]
    assert "Without a flow: 2 times" in text
    assert "Have one already: 2" in text
    assert "Make 2 flows" in text
    fixed = dict(re.findall(r'data-key="(from|to)" data-type="json" value="&#34;([^&]*)&#34;"', text))
    assert fixed == {"from": span["from"], "to": "2026-01-05T00:00:00Z"}


@pytest.mark.parametrize(
    ("range_", "said"),
    [
        ("from=2026-01-01T00:00:00Z", "to: is needed"),
        ("from=2026-01-01T00:00:00Z&to=2999-01-01T00:00:00Z", "future"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "lies behind"),
        ("from=2000-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "more than 1,000 times"),
    ],
)
async def test_a_range_that_makes_no_sense_is_said_in_the_dialog(site: Client, connection: Connection, range_: str, said: str) -> None:
    await connection.execute("INSERT INTO ms_schedule (name, task_id, cron) VALUES ('daily', 'w', '0 8 * * *')")

    status, text = await read(site, f"/ask/schedule/backfill?name=daily&{range_}")

    assert (status, "data-send" in text) == (200, False)
    assert re.search(rf'role="alert">[^<]*{said}', text)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/limits?after=%00", 422),
        ("/limits?paused=made-up", 422),
        ("/limits?odd=1", 422),
        ("/schedules/gone", 404),
        ("/schedules/%00", 422),
        ("/schedules?after=%F0%9F%8C%B8", 200),
        ("/ask/limit/remove?name=gone", 404),
        ("/ask/limit/remove", 422),
        ("/ask/limit", 200),
        ("/ask/pause?kind=odd", 422),
        ("/ask/unpause?kind=all", 200),
        ("/ask/schedule?name=gone", 404),
        ("/ask/schedule/fire?name=gone", 404),
        ("/ask/schedule/dance?name=gone", 404),
        ("/ask/schedule/backfill?name=gone&from=tomorrow", 422),
    ],
)
async def test_what_cannot_be_shown_of_them_is_a_page_that_says_why(site: Client, address: str, status: int) -> None:
    answer = await send(site, "GET", address, headers=PAGE)

    assert answer.status == status
    assert "<h1" in await answer.text()

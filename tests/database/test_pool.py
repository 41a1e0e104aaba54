"""Connections: what they are set to, what they survive, and what they say when they fail."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from flower.core.errors import ConfigurationError, DatabaseLost
from flower.database import pool as pool_module
from flower.database.errors import translate
from flower.database.pool import Connection, Pool, connect
from flower.database.url import parse, shown
from flower.testing.databases import with_database
from tests.conftest import TEST_DATABASE_URL
from tests.database.routes import tcp_route

LATEST, EARLIEST = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)


# Nothing here writes: the server's own database is enough.
@pytest.fixture
async def connection(server_url: str) -> AsyncIterator[Connection]:
    connection = await connect(server_url, role="test")
    yield connection
    await connection.close()


@pytest.fixture
async def pool(server_url: str) -> AsyncIterator[Pool]:
    async with Pool(server_url, role="engine") as pool:
        yield pool


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_session_says_who_it_is_and_has_the_patience_of_its_role(server_url: str) -> None:
    worker = str(uuid4())
    connection = await connect(server_url, role="api", schema="odd name", worker=worker)
    names = ("application_name", "search_path", "TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    settings = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]

    assert settings == [f"flower/{worker}/api", '"odd name", pg_temp', "UTC", "5s", "3s", "10s"]
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()


async def test_what_only_clients_know_in_a_libpq_url_does_not_reach_the_server(server_url: str) -> None:
    extra = "application_name=mine&connect_timeout=3&channel_binding=prefer&gssencmode=disable"
    connection = await connect(server_url + ("&" if "?" in server_url else "?") + extra, role="cli")

    assert await connection.fetchval("SHOW application_name") == "flower/-/cli"
    await connection.close()


async def test_times_that_python_cannot_hold_are_read_as_the_nearest(connection: Connection) -> None:
    row = await connection.fetchrow(
        "SELECT 'infinity'::timestamptz, '-infinity'::timestamptz, '20000-01-01'::timestamptz, '4000-01-01 BC'::timestamptz, "
        "NULL::timestamptz, ARRAY['20000-01-01'::timestamptz]"
    )

    assert row is not None
    assert tuple(row) == (LATEST, EARLIEST, LATEST, EARLIEST, None, [LATEST])


async def test_a_time_goes_there_and_back_to_the_microsecond(connection: Connection) -> None:
    for moment in (datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC), LATEST, EARLIEST):
        assert await connection.fetchval("SELECT $1::timestamptz", moment) == moment


async def test_a_time_without_zone_is_refused(connection: Connection) -> None:
    with pytest.raises(asyncpg.exceptions.DataError, match="without a zone"):
        await connection.fetchval("SELECT $1::timestamptz", datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


async def test_numbers_that_are_none_are_read_and_written(connection: Connection) -> None:
    row = await connection.fetchrow("SELECT 'NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric, 1.50::numeric")

    assert row is not None
    assert row[0].is_nan()
    assert tuple(row)[1:] == (Decimal("Infinity"), Decimal("-Infinity"), Decimal("1.50"))
    back = await connection.fetchrow("SELECT $1::numeric::text, $2::numeric::text, $3::numeric::text, $4::numeric::text", *row)
    assert back is not None
    assert tuple(back) == ("NaN", "Infinity", "-Infinity", "1.50")


async def test_a_tcp_connection_notices_a_dead_route_by_itself(server_url: str) -> None:
    async with tcp_route(server_url, unquote(urlsplit(server_url).password or "")) as route:
        connection = await connect(route.url, role="engine")
        wire: Any = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]

        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        await connection.close()


async def test_a_query_on_a_route_that_went_silent_ends_in_time_and_the_pool_goes_on(server_url: str) -> None:
    password = unquote(urlsplit(server_url).password or "")
    async with tcp_route(server_url, password) as route, Pool(route.url, role="heartbeat", size=1) as pool:
        assert await pool.fetchval("SELECT 1") == 1
        route.passes.clear()
        began = time.monotonic()

        with pytest.raises(DatabaseLost, match="did not answer in time"):
            await pool.fetchval("SELECT 2")

        # Its command timeout, and no second one for the release.
        assert time.monotonic() - began < 4.5
        route.passes.set()
        assert await pool.fetchval("SELECT 3") == 3
        # Not the old one (asyncpg tries to cancel the query over another, which goes nowhere either).
        assert route.connections > 1


async def test_a_pool_can_be_made_while_the_database_is_away_and_says_so_when_asked() -> None:
    port = free_port()
    async with Pool(f"postgresql://somebody:canary@127.0.0.1:{port}/flower", role="engine") as pool:
        with pytest.raises(DatabaseLost, match=rf"127\.0\.0\.1:{port}.*refused"):
            await pool.fetch("SELECT 1")


async def test_a_pool_that_is_all_lent_out_answers_after_its_time(server_url: str) -> None:
    async with Pool(server_url, role="engine", size=1, acquire_seconds=0.1) as pool, pool.acquire():
        with pytest.raises(DatabaseLost, match=r"within 0\.1 s"):
            await pool.fetchval("SELECT 1")


async def test_a_pool_goes_on_after_its_backends_were_ended(pool: Pool, connection: Connection) -> None:
    pid = await pool.fetchval("SELECT pg_backend_pid()")
    await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)

    with pytest.raises(DatabaseLost):
        await pool.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")

    assert await pool.fetchval("SELECT pg_backend_pid()") != pid


async def test_a_cancelled_query_leaves_the_pool_whole(server_url: str) -> None:
    async with Pool(server_url, role="engine", size=1) as pool:
        asking = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)"))
        async with Pool(server_url, role="engine", size=1) as other:
            while not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"):
                await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert await pool.fetchval("SELECT 1") == 1


@pytest.mark.parametrize(
    "script",
    [
        "SET statement_timeout = '10ms'; SELECT pg_sleep(5)",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SET transaction_read_only = on; CREATE TABLE refused ()",
    ],
)
async def test_what_passes_by_itself_counts_as_lost(pool: Pool, script: str) -> None:
    with pytest.raises(DatabaseLost):
        await pool.execute(script)

    assert await pool.fetchval("SELECT 1") == 1


async def test_a_server_that_became_a_standby_counts_as_lost_for_those_who_write(server_url: str) -> None:
    read_only = server_url + ("&" if "?" in server_url else "?") + "default_transaction_read_only=on"

    with pytest.raises(DatabaseLost, match="takes no writes just now"):
        await connect(read_only, role="engine")

    connection = await connect(read_only, role="cli")
    await connection.close()


async def test_a_plan_that_a_migration_made_invalid_counts_as_lost(pool: Pool) -> None:
    async def change_under_a_plan() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("CREATE TEMPORARY TABLE changing (a integer)")
            await connection.fetch("SELECT * FROM changing")
            await connection.execute("ALTER TABLE changing ADD COLUMN b integer")
            await connection.fetch("SELECT * FROM changing")

    with pytest.raises(DatabaseLost, match="cached"):
        await change_under_a_plan()


@pytest.mark.parametrize(
    ("statement", "values", "kind"),
    [
        ("SELECT 1 / 0", (), asyncpg.DivisionByZeroError),
        ("SELECT no_such_column", (), asyncpg.UndefinedColumnError),
        ("SELECT $1::integer", ("text",), asyncpg.exceptions.DataError),
        ("SELECT $1::integer", (), asyncpg.InterfaceError),
        ("DO $$ BEGIN RAISE SQLSTATE 'FL404'; END $$", (), asyncpg.PostgresError),
    ],
)
async def test_what_is_wrong_with_a_statement_stays_what_it_is(pool: Pool, statement: str, values: tuple[object, ...], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await pool.fetchval(statement, *values)

    assert await pool.fetchval("SELECT 1") == 1


async def test_a_wrong_password_is_one_sentence_without_the_password(server_url: str) -> None:
    login = urlsplit(server_url)
    wrong = server_url.replace(f":{login.password}@", ":canary@", 1) if login.password else ""
    if not wrong or TEST_DATABASE_URL in os.environ:
        pytest.skip("only our own server is known to ask for a password")

    with pytest.raises(ConfigurationError, match="refuses the login") as caught:
        await connect(wrong, role="engine")

    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_missing_database_is_named_and_the_way_out_too(server_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has no database 'nowhere'.*createdb nowhere"):
        await connect(with_database(server_url, "nowhere"), role="engine")


async def test_an_option_that_no_server_knows_is_a_sentence(server_url: str) -> None:
    with pytest.raises(ConfigurationError, match="strange_option"):
        await connect(server_url + ("&" if "?" in server_url else "?") + "strange_option=1", role="engine")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://somebody:canary@no-such-host.invalid/flower", "no-such-host.invalid:5432 cannot be reached"),
        ("postgresql:///flower?host=/no/such/folder", "the socket in /no/such/folder cannot be reached: No such file"),
    ],
)
async def test_a_server_that_is_not_there_is_waited_for(url: str, said: str) -> None:
    with pytest.raises(DatabaseLost, match=said) as caught:
        await connect(url, role="engine")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "flower",
        "mysql://u:canary@h/d",
        "postgresql+asyncpg://u:canary@h/d",
        "host=h password=canary dbname=d",
        "postgresql://u:canary@h:port/d",
        "postgresql://u:canary@h:99999/d",
        "postgresql://u:canary",
        "postgresql://u:canary#1@h/d",
        "postgresql://u:can@ary@h/d",
        "postgresql://u:canary@[::1/d",
        "postgresql://u:canary@h/d?sslmode",
        "postgresql://u:canary@h/d?sslmode=strange",
        "postgresql:///d?host=/f&port=canary",
    ],
)
async def test_a_malformed_url_is_a_sentence_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect(url, role="engine")

    assert "canary" not in str(caught.value)
    assert "ary@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:secret@h:5433/d", "postgresql://u:***@h:5433/d"),
        ("postgresql://u:se@cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=secret&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("host=h password='se cret' dbname=d", "host=h password=*** dbname=d"),
        ("u:secret@h/d", "u:***@h/d"),
        ("postgresql:///d?host=/f", "postgresql:///d?host=/f"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, expected: str) -> None:
    assert shown(url) == expected


@pytest.mark.parametrize(
    ("url", "host", "port", "database", "user"),
    [
        ("postgresql://u:p@h:5433/d", "h", 5433, "d", "u"),
        ("postgres://u@[::1]:6000/d%20e", "::1", 6000, "d e", "u"),
        ("postgresql://u:@/d?host=/f", "/f", 5432, "d", "u"),
        ("postgresql:///d?host=/f&port=5999&user=me", "/f", 5999, "d", "me"),
        ("postgresql://u@%2Frun%2Fpg/d", "/run/pg", 5432, "d", "u"),
        ("postgresql://u@one:1,two:2/d", "one", 1, "d", "u"),
        ("postgresql://u@h", "h", 5432, "u", "u"),
    ],
)
def test_every_form_of_url_leads_where_it_says(url: str, host: str, port: int, database: str, user: str) -> None:
    address = parse(url)

    assert (address.host, address.port, address.database, address.user) == (host, port, database, user)


async def test_a_server_that_is_too_old_is_refused(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "OLDEST_SERVER", 99)

    with pytest.raises(ConfigurationError, match=r"PostgreSQL \d+, Flower needs 99 or newer"):
        await connect(server_url, role="engine")


def test_an_error_that_has_nothing_to_do_with_the_database_has_no_translation() -> None:
    assert translate(KeyError("x"), "postgresql://h/d") is None

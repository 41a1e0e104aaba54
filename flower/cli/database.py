"""`migrate`, `psql` and `url`: the database itself."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import typer

from flower.cli.options import AsJson, Database
from flower.cli.output import print_json, say
from flower.cli.surroundings import Place, find_folder, place, read, run
from flower.core.errors import ConfigurationError, DatabaseLost

if TYPE_CHECKING:
    from flower.core.settings import Settings

_KILLED_BY_SIGNAL = 128


def migrate(*, database: Database = None, as_json: AsJson = False) -> None:
    """Bring the database's schema up to this Flower. Serve does it too."""

    async def bring_up() -> list[str]:
        from flower.database.migrate import migrate

        async with place(read(database_url=database)) as found:
            return await migrate(found.url, found.settings.schema_name)

    applied = run(bring_up())
    if as_json:
        print_json({"applied": applied})
    elif applied:
        typer.echo("\n".join(f"applied {name}" for name in applied))
    else:
        typer.echo("already current")


def url(*, database: Database = None, as_json: AsJson = False) -> None:
    """Print the database's URL, password included.

    For other programs: psql, a database client, a notebook.
    """
    found = run(_url(read(database_url=database)))
    if as_json:
        print_json({"url": found})
    else:
        typer.echo(found)


async def _url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url
    from flower.database.embedded import url_of
    from flower.database.pool import connect

    found = url_of(find_folder())
    try:
        (await connect(found, role="cli", schema=settings.schema_name)).terminate()
    except DatabaseLost:
        say("The embedded server is down: it runs while python -m flower serve does.")
    return found


def psql(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGUMENT", help="Handed on: -c 'SELECT 1', -f file.sql, …")] = None,
    *,
    database: Database = None,
) -> None:
    """Open psql on the database.

    The tables of Flower are in its search path. The exit status is psql's.
    """

    async def open_it() -> int:
        async with place(read(database_url=database)) as found:
            return await _psql(found, arguments or ())

    raise typer.Exit(run(open_it()))


async def _psql(found: Place, arguments: tuple[str, ...] | list[str]) -> int:
    import asyncio

    from flower.database.url import parse

    program = _find_psql()
    parse(found.url)
    address, environment = connection_of(found.url, found.settings.schema_name)
    # A child, and not exec: an embedded server that was started only for this must be stopped afterwards.
    child = await asyncio.create_subprocess_exec(program, address, *arguments, env={**os.environ, **environment})
    loop = asyncio.get_running_loop()
    # Ctrl-C is psql's: it stops a query, not the session. The terminal sends it to both of us.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, child.terminate)
    status = await child.wait()
    return status if status >= 0 else _KILLED_BY_SIGNAL - status


def _find_psql() -> str:
    from flower.database.binaries import find_programs

    folder = find_programs()
    ours, theirs = shutil.which("psql", path=folder) if folder else None, shutil.which("psql")
    # Ours fits the embedded server best; the system's can edit the line that a person types.
    program = (theirs or ours) if sys.stdin.isatty() else (ours or theirs)
    if program is None:
        raise ConfigurationError("there is no psql here: install PostgreSQL's client programs, or pip install 'flower-workflow[embedded]'")
    return program


def connection_of(database_url: str, schema: str) -> tuple[str, dict[str, str]]:
    """Return *database_url* without its password, and the environment that gives psql the password and *schema* as its search path.

    Any user of the machine can read the arguments of a process; its environment only its owner can.
    """
    parts = urlsplit(database_url)
    login, at, server = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = unquote(password) or options.pop("password", "")
    path = schema if schema == "public" else f"{schema},public"
    # The URL's own options would win over PGOPTIONS as a whole.
    session = f"{options.pop('options', os.environ.get('PGOPTIONS', ''))} -c search_path={path}".strip()
    query = urlencode(options, quote_via=quote, safe="/")
    # Put together by hand: urllib drops the empty host of postgresql:///name.
    address = f"{parts.scheme}://{user}{at}{server}{parts.path}" + (f"?{query}" if query else "")
    return address, {"PGOPTIONS": session, "PGAPPNAME": "flower/-/psql"} | ({"PGPASSWORD": password} if password else {})

"""`serve`: one Flower process, with its HTTP interface or as a worker only."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flower.cli.options import Database
from flower.cli.surroundings import Place, place, read
from flower.core.errors import ConfigurationError

if TYPE_CHECKING:
    from flower.core.settings import Settings

_LARGEST_CONCURRENCY = 10_000
_SHORTEST_TOKEN = 8


def _token(value: str | None) -> str | None:
    if value is not None and len(value) < _SHORTEST_TOKEN:
        raise typer.BadParameter(f"a token has at least {_SHORTEST_TOKEN} characters")
    return value


def serve(  # noqa: PLR0913 - the options that product.md promises
    modules: Annotated[list[str] | None, typer.Argument(metavar="MODULE", help="Modules with tasks: dotted names, or files like app.py")] = None,
    *,
    database: Database = None,
    host: Annotated[str | None, typer.Option(help="FLOWER_HOST, 127.0.0.1; others than this machine only with a token")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="FLOWER_PORT, 8000; 0 takes any free one")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=_LARGEST_CONCURRENCY, help="Tasks at once (FLOWER_CONCURRENCY, 100)")] = None,
    grace: Annotated[float | None, typer.Option(min=0, help="Seconds that running tasks get when Flower stops (FLOWER_GRACE, 25)")] = None,
    token: Annotated[str | None, typer.Option(callback=_token, help="What callers must send as Authorization: Bearer (FLOWER_TOKEN)")] = None,
    allowed_host: Annotated[list[str] | None, typer.Option(help="Another name of this server; may be repeated (FLOWER_ALLOWED_HOST)")] = None,
    no_http: Annotated[bool, typer.Option("--no-http", help="Be a worker without a port")] = False,
) -> None:
    """Serve the HTTP interface and run tasks until Ctrl-C or SIGTERM.

    Without a database it makes one in .flower/ and keeps it there. More processes on one database share the work.
    """
    from flower.core import log

    settings = read(
        database_url=database, host=host, port=port, concurrency=concurrency, grace=grace, token=token, allowed_host=tuple(allowed_host or ()) or None
    )
    log.configure(settings.log_level, settings.log_format)
    _refuse_what_cannot_work(settings, http=not no_http)

    from flower.sdk.modules import load

    load(modules or ())
    _run(_serve(settings, http=not no_http))


def _refuse_what_cannot_work(settings: Settings, *, http: bool) -> None:
    """Say at once, before any database is touched, what waiting will not mend."""
    from flower.cli.neighbours import refuse_mixed
    from flower.cli.ports import require_free
    from flower.core import log

    neighbour = refuse_mixed()
    if neighbour is not None:
        log.get().warning("package.shares_our_name", name=neighbour.name, version=neighbour.version, advice=str(neighbour))
    if not http:
        return
    if not settings.is_local and settings.token is None:
        raise ConfigurationError(
            f"--host {settings.host} lets other machines in, and there is no token: set FLOWER_TOKEN (or --token) to a secret of at least "
            f"{_SHORTEST_TOKEN} characters, which callers send as Authorization: Bearer …"
        )
    require_free(settings.host, settings.port)


def _run(work: Coroutine[Any, Any, None]) -> None:
    import asyncio

    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


async def _serve(settings: Settings, *, http: bool) -> None:
    import asyncio
    import errno

    from flower.cli.ports import PortInUse

    # Until app.serve takes the signals over, a SIGTERM must still let the embedded server stop in order.
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - a coroutine that runs is run by a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    # The rest of Flower is read while the embedded server starts: each takes half a second.
    reading = asyncio.create_task(asyncio.to_thread(import_module, "flower.app"))
    try:
        async with place(settings, may_create=True) as found:
            await reading
            from flower import app

            await app.serve(settings, url=found.url, folder=found.folder, http=http, announce=lambda base: announce(found, base))
        _end_now()
    except asyncio.CancelledError:
        return
    except OSError as error:
        # It was free a moment ago.
        if http and error.errno == errno.EADDRINUSE:
            raise PortInUse(settings.host, settings.port) from None
        raise


def _end_now() -> None:
    """End the process, whatever user code still runs: Python would wait for its threads, and for coroutines that swallow their end."""
    atexit._run_exitfuncs()  # noqa: SLF001 - what modules asked for at the end; it joins no thread
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def announce(found: Place, base: str) -> None:
    """Say that Flower is ready and where everything is. *base*: the address of the HTTP interface, empty without one."""
    from flower.core import log
    from flower.database.url import shown

    data = f"{found.folder} (an embedded PostgreSQL)" if found.folder else shown(found.url)
    psql = f"python -m flower psql{'' if found.folder else ' --database URL'}"
    if not log.is_for_people(found.settings.log_format):
        log.get().info("serve.ready", api=base or None, data=data, psql=psql)
        return
    lines = (
        "",
        "Flower is ready. Ctrl-C stops it, the data stays.",
        f"  API   {_how_to_call(found.settings, base)}",
        f"  data  {data}",
        f"  psql  {psql}",
        "",
    )
    typer.echo("\n".join(lines), err=True)


def _how_to_call(settings: Settings, base: str) -> str:
    if not base:
        return "none: this process is a worker only (--no-http)"
    if settings.token is None:
        return f"{base}   try: curl -X POST {base}/register/hello"
    return f'{base}   callers need the token: curl -X POST -H "Authorization: Bearer $FLOWER_TOKEN" {base}/register/hello'

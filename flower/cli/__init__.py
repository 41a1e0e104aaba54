"""The command line: `python -m flower`, also installed as `flower`.

A module per group of commands. They import the engine, the driver and HTTP only when a command runs, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from flower.cli import code, database, doctor, incidents, limits, logs, look, pauses, repro, rerun, schedules, serve, show, signals, start, verbs
from flower.cli import run as run_
from flower.core.errors import ConfigurationError, FlowerError
from flower.core.strict import is_clean

__all__ = ["app", "main"]

_BROKEN_PIPE_STATUS = 141


class _Commands(TyperGroup):
    """Turns what Flower raises on purpose into one sentence on stderr and an exit status. Anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except FlowerError as error:
            typer.echo(f"flower: {error}", err=True)
            raise typer.Exit(error.exit_status if isinstance(error, ConfigurationError) else 1) from None
        except BrokenPipeError:
            # Whoever read our output has seen enough. Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_BROKEN_PIPE_STATUS) from None
        return answer


app = typer.Typer(
    cls=_Commands,
    name="flower",
    help="A workflow engine that lives in PostgreSQL. Begin with: python -m flower serve",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Rich's help is prettier and takes twice as long.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("run")(run_.run)
app.command("start")(start.start)
app.command("register", help="The same as start.")(start.start)
app.command("workflows")(look.workflows)
app.command("flows")(look.flows)
app.command("show")(show.show)
app.command("why")(look.why)
app.command("logs")(logs.logs)
app.command("repro")(repro.repro)
app.command("limit", context_settings={"ignore_unknown_options": True})(limits.limit)
app.command("limits")(limits.limits)
app.command("incidents")(incidents.incidents)
app.command("notify")(incidents.notify)
for verb in (rerun.rerun, verbs.retry, verbs.ignore, verbs.complete, verbs.cancel, verbs.suspend, verbs.resume):
    app.command(verb.__name__)(verb)
# -5 is a priority, not an option.
app.command("priority", context_settings={"ignore_unknown_options": True})(verbs.priority)
for pausing in (pauses.pause, pauses.unpause, pauses.pauses):
    app.command(pausing.__name__)(pausing)
app.add_typer(schedules.app, name="schedule")
app.command("signal")(signals.signal)
app.command("define")(code.define)
app.command("check")(code.check)
app.command("migrate")(database.migrate)
app.command("doctor")(doctor.doctor)
app.command("psql", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(database.psql)
app.command("url")(database.url)


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit status."""
    # Python hands over bytes that are no UTF-8 as lone surrogates, which PostgreSQL cannot take.
    if not all(map(is_clean, sys.argv)):
        typer.echo("flower: an argument is not UTF-8 text", err=True)
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows its code; no command fails for that.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app()

"""The options that several commands share, and how their values are read. Knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flower.cli.times import read_moment, read_past
from flower.core import strict
from flower.core.errors import UsageError

Database = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="PostgreSQL to work on (FLOWER_DATABASE_URL); without it, the embedded one in .flower/"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON as the HTTP interface has it, times in UTC")]
FlowReference = Annotated[str, typer.Argument(metavar="FLOW", help="Id of a flow, a unique beginning of one, or 'last'")]


def read_parameters(pairs: Sequence[str], source: str | None) -> dict[str, Any]:
    """Return the parameters that `--params` (*source*) and `--param` (*pairs*, which win) name.

    A value of `--param` stays text: a worker reads it as JSON where the parameter is no `str`. Raises BadParameter.
    """
    given = _from_source(source) if source is not None else {}
    single: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--param")
        if name in single:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--param")
        single[name] = value
    return {**given, **single}


def read_time(text: str | None, option: str) -> datetime | None:
    """Return the time of the past that *text* means, None for None. Raises BadParameter for *option*."""
    try:
        return None if text is None else read_past(text, datetime.now().astimezone())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def read_coming(text: str | None, option: str) -> str | None:
    """Return the time that *text* means in ISO 8601, UTC; None for None. Raises BadParameter for *option*."""
    try:
        moment = None if text is None else read_moment(text, datetime.now().astimezone())
        return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def read_json(source: str, option: str) -> Any:
    """Return the JSON that *source* is, or, as `@file`, names. Raises BadParameter for *option*."""
    try:
        text = Path(source[1:]).read_text(encoding="utf-8") if source.startswith("@") else source
        return strict.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {source[1:]}: {error.strerror}", param_hint=option) from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{source[1:]} is not UTF-8 text", param_hint=option) from None
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _from_source(source: str) -> dict[str, Any]:
    value = read_json(source, "--params")
    if not isinstance(value, dict):
        raise typer.BadParameter('an object is needed, like {"width": 800}', param_hint="--params")
    return value

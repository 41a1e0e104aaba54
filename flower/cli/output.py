"""What commands print: tables and short values for people, JSON for programs. What users stored is shown, never obeyed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from flower.core.escape import escape
from flower.core.masks import mask
from flower.core.model import Json

if TYPE_CHECKING:
    from rich.console import Console

_WORDS = {"finish": "green", "running": "cyan", "suspend": "red", "ignore": "bright_black", "approval": "yellow", "stalled": "yellow"}


def console(*, on_stderr: bool = False) -> Console:
    """Return a console that colours on a terminal, and that takes no text for markup."""
    from rich.console import Console

    return Console(stderr=on_stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(value: Json) -> None:
    """Print *value*, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Print *text* on stderr: what people should know and programs should not read."""
    typer.echo(text, err=True)


def short(value: Json, width: int = 60) -> str:
    """Return *value* as JSON on one line of at most *width* characters, secrets masked; nothing for None."""
    if value is None:
        return ""
    shown = mask(value)
    text = escape(shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False))
    return text if len(text) <= width else text[: width - 1] + "…"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *headings*. On a terminal long cells are cut to fit; elsewhere every row is one whole line."""
    rows = [[escape(cell) for cell in row] for row in rows]
    out = console()
    if not out.is_terminal:
        _print_plain([[heading.upper() for heading in headings], *rows])
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, style=_WORDS.get(cell.partition(" ")[0], "")) for cell in row))
    out.print(table, soft_wrap=False)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")

"""What commands print: tables and short values for people, JSON for programs. What users stored is shown, never obeyed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import typer

from flower.core.escape import escape
from flower.core.masks import mask
from flower.core.model import Json

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"finish": "green", "running": "cyan", "suspend": "red", "ignore": "bright_black"}
_GAP = "  "
_NARROWEST = 6


def console(*, on_stderr: bool = False) -> Console:
    """Return a console that colours on a terminal, and that takes no text for markup."""
    from rich.console import Console

    return Console(stderr=on_stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(value: Json, *, in_one_line: bool = False) -> None:
    """Print *value*, indented, or in one line where many follow each other."""
    typer.echo(json.dumps(value, indent=None if in_one_line else 2, ensure_ascii=False))


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


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], flexible: Collection[str] = ()) -> None:
    """Print *rows* under *headings*. On a terminal the columns *flexible* are cut to fit its width; elsewhere every row is one whole line."""
    from rich.cells import cell_len, set_cell_size

    table = [[heading.upper() for heading in headings], *([escape(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(headings))]
    is_terminal = sys.stdout.isatty()
    if is_terminal:
        widths = fit(widths, [heading in flexible for heading in headings], shutil.get_terminal_size().columns)
    for row in table:
        cells = [
            set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…", width)
            for cell, width in zip(row, widths, strict=True)
        ]
        line = _GAP.join(_coloured(cell) if is_terminal else cell for cell in cells)
        typer.echo(line.rstrip())


def fit(widths: Sequence[int], flexible: Sequence[bool], room: int) -> list[int]:
    """Return *widths* with the widest of the *flexible* columns made narrower, one after the other, until all fit into *room*."""
    fitted = list(widths)
    while sum(fitted) + len(_GAP) * (len(fitted) - 1) > room:
        widest = max((column for column, may in enumerate(flexible) if may), key=lambda column: fitted[column], default=None)
        if widest is None or fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.split(" ", 1)[0])
    return typer.style(cell, fg=colour) if colour and not os.environ.get("NO_COLOR") else cell

"""`doctor`: checks what Flower needs, one by one, and says what to do about what is missing. Mends nothing."""

from __future__ import annotations

import typer

from flower.cli.options import AsJson, Database
from flower.cli.output import console, print_json
from flower.cli.surroundings import run
from flower.core.escape import escape

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("·", "bright_black")}


def doctor(*, database: Database = None, as_json: AsJson = False) -> None:
    """Check what Flower needs. The exit status is 1 if something is wrong."""
    from flower.cli.checks import Check, check_all

    async def check() -> list[Check]:
        return [found async for found in check_all(database)]

    found = run(check())
    is_well = all(item.ok is not False for item in found)
    if as_json:
        print_json({"ok": is_well, "checks": [{"name": item.name, "ok": item.ok, "detail": item.detail} for item in found]})
    else:
        out, width = console(), max(len(item.name) for item in found)
        for item in found:
            mark, style = _MARKS[item.ok]
            out.print(mark, style=style, end=" ")
            out.print(f"{item.name:<{width}}  {escape(item.detail)}")
    raise typer.Exit(0 if is_well else 1)

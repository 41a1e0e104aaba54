"""Schedules, their times and their flows, as the command line says them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flower.cli.output import print_table
from flower.cli.times import local
from flower.core.model import Flow
from flower.core.quantities import duration
from flower.core.schedule import Schedule

_MINUTE = 60


def told(found: Schedule, *, is_worked: bool) -> list[str]:
    """Return in lines what a schedule does, and why it makes no flow, if it makes none."""
    rules = f"catch-up {found.catch_up}, overlap {found.overlap}, on failure {found.on_failure}"
    lines = [f"{found.name} starts {found.workflow} {_when(found)}; {rules}"]
    lines += [f"Now {obstacle}" for obstacle in found.obstacles]
    if not is_worked:
        lines.append("Now no worker is alive, and none of its flows is made (python -m flower serve)")
    if found.passed_at is not None:
        lines.append(f"The latest time that made no flow: {_utc(found.passed_at)}, {found.passed_why}")
    return lines


def flow_row(flow: Flow) -> tuple[str, ...]:
    """Return a flow as a row of those that a schedule has made."""
    status = flow.status.word + (f" ({flow.outcome})" if flow.outcome else "")
    return flow.flow_id, status, _utc(flow.scheduled_for) if flow.scheduled_for else "by hand", local(flow.registered_at)


def row(item: Schedule) -> tuple[str, ...]:
    """Return a schedule as a row of their list."""
    state = "paused" if item.paused else "stopped itself" if item.error is not None else f"{item.waiting} wait" if item.waiting else "on"
    why = item.reason if item.paused else item.error
    upcoming = next(iter(item.upcoming(1)), None)
    return item.name, item.workflow, _when(item), local(upcoming), local(item.last_at), state + (f": {why}" if why else "")


def _when(item: Schedule) -> str:
    if item.cron is not None:
        return f"{item.cron} ({item.zone})"
    if item.every is None:
        return ""
    seconds = item.every.total_seconds()
    return f"every {seconds:g} s" if seconds < _MINUTE else f"every {duration(seconds)}"


def print_times(times: Sequence[datetime], zone: str) -> None:
    """Print times on the clock of *zone* and in UTC."""
    if zone == "UTC":
        print_table(("next",), [(_on_clock(at, zone),) for at in times])
    else:
        print_table((zone, "UTC"), [(_on_clock(at, zone), _utc(at)) for at in times])


def on_both_clocks(at: datetime | None, zone: str) -> str:
    """Return a time on the clock of *zone* and in UTC."""
    return "never" if at is None else _on_clock(at, zone) + ("" if zone == "UTC" else f" ({_utc(at)})")


def _on_clock(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M:%S %Z")


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

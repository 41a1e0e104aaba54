"""A workflow that starts by the clock: every night at half past two in Paris, and a pulse every ten seconds.

python -m flower serve examples/scheduled.py, and then: python -m flower schedule list
"""

from __future__ import annotations

from datetime import UTC, datetime

from flower import Cron, Every, context, task, workflow


@task
async def count_sales(shop: str) -> str:
    """Say which day is counted: the one before the time that the flow is for, however late it runs."""
    due = context().scheduled_for or datetime.now(UTC)
    return f"{shop}: the day before {due:%Y-%m-%d}"


@task
async def beat() -> str:
    """Say for which moment this is, and how late."""
    due = context().scheduled_for
    return "by hand" if due is None else f"{due:%H:%M:%S}, {(datetime.now(UTC) - due).total_seconds():.2f} s late"


@workflow(schedule=Cron("30 2 * * *", zone="Europe/Paris", parameters={"shop": "Lyon"}))
def nightly_sales(shop: str) -> str:
    return count_sales(shop)


@workflow(schedule=Every("10s", overlap="skip"))
def pulse() -> str:
    return beat()

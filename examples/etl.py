"""Five steps: two extracts side by side, a clean-up of each, and one report of both.

All of it in one command, with its result: python -m flower run examples/etl.py
Or keep it served (python -m flower serve examples/etl.py) and start it from anywhere: python -m flower start sales --param day=2026-01-31
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from flower import task, workflow


@dataclass
class Sale:
    """One line of a till."""

    shop: str
    day: date
    amount: Decimal


@task
async def extract(shop: str, day: date) -> list[Sale]:
    """Return what a shop sold. A real one would ask the till; this one has three lines, one of them odd."""
    return [Sale(shop, day, Decimal(amount)) for amount in ("19.90", "5.10", "-1")]


@task
def clean(sales: list[Sale]) -> list[Sale]:
    """Drop what cannot have been sold. A plain def: it runs in a thread."""
    return [sale for sale in sales if sale.amount > 0]


@task
def report(sales: list[list[Sale]], currency: str = "EUR") -> dict[str, str]:
    """Return the total of each shop."""
    return {shop[0].shop: f"{sum(sale.amount for sale in shop)} {currency}" for shop in sales if shop}


@workflow
def sales(day: date = date(2026, 1, 31), currency: str = "EUR") -> dict[str, str]:
    """Build the graph: the loop is over ordinary values, and what a task returns is handed on."""
    cleaned = [clean(extract.options(name=f"extract-{shop}")(shop, day)) for shop in ("north", "south")]
    return report(cleaned, currency=currency)

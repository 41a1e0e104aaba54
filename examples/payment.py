"""A flow that waits for a word from outside: the payment of an order, for a week.

python -m flower serve examples/payment.py, and in another terminal:
python -m flower start sell --param number=7 --param amount=30
python -m flower signal payment --key order-7 --payload '{"amount": 30, "by": "card"}'
"""

from __future__ import annotations

from dataclasses import dataclass

import flower
from flower import task, workflow

WEEK = 7 * 24 * 3600


@dataclass
class Bill:
    """What is to be paid. *key*: under which the payment comes."""

    key: str
    amount: int


@dataclass
class Payment:
    """What the bank says of it."""

    amount: int
    by: str


@task
def bill(number: int, amount: int) -> Bill:
    return Bill(f"order-{number}", amount)


@task
def close(bill: Bill, payment: Payment | None) -> str:
    if payment is None:
        return f"{bill.key} was not paid within a week"
    return f"{bill.key} is paid by {payment.by}" + (f", {bill.amount - payment.amount} are missing" if payment.amount < bill.amount else "")


@workflow
def sell(number: int, amount: int) -> str:
    due = bill(number, amount)
    payment = flower.wait_for("payment", key=due.key, timeout=WEEK, result=Payment, default=None)
    return close(due, payment)

"""Calls one function of Flower's over a connection of the caller's own, inside his transaction: asyncpg's, psycopg's or SQLAlchemy's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flower.core.model import Order
from flower.core.signals import Signal

# What each driver calls the place of a parameter, by its number from 1.
_MARKS = {"asyncpg": "${0}", "psycopg": "%s", "sqlalchemy": ":p{0}"}


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments, as texts. *types*: of which type each is in the database."""

    function: str
    types: tuple[str, ...]
    values: tuple[str, ...]


def registration(order: Order) -> Call:
    """Return the call that starts a flow."""
    return Call("flower_register", ("text", "jsonb", "jsonb"), (order.workflow, json.dumps(order.parameters), json.dumps(order.options)))


def sending(signal: Signal) -> Call:
    """Return the call that sends a signal."""
    options = {} if signal.idempotency_key is None else {"idempotencyKey": signal.idempotency_key}
    return Call("flower_signal", ("text", "text", "jsonb", "jsonb"), (signal.name, signal.key, json.dumps(signal.payload), json.dumps(options)))


async def within(connection: Any, schema: str, call: Call) -> str:
    """Return what *call* answers, as text. Raises the driver's own errors, and TypeError for what is none of the three."""
    kind = _kind(connection)
    if kind == "asyncpg":
        return str(await connection.fetchval(_statement(schema, call, kind), *call.values))
    if kind == "psycopg":
        cursor = await connection.execute(_statement(schema, call, kind), call.values)
        return _first(await cursor.fetchone())
    if kind == "sqlalchemy":
        return str((await connection.execute(*_for_sqlalchemy(schema, call))).scalar_one())
    raise _unknown(connection)


def within_sync(connection: Any, schema: str, call: Call) -> str:
    """Do the same over a synchronous connection of psycopg or SQLAlchemy."""
    kind = _kind(connection)
    if kind == "psycopg":
        return _first(connection.execute(_statement(schema, call, kind), call.values).fetchone())
    if kind == "sqlalchemy":
        return str(connection.execute(*_for_sqlalchemy(schema, call)).scalar_one())
    raise _unknown(connection)


def _statement(schema: str, call: Call, kind: str) -> str:
    # Texts, and casts in SQL: whatever codec for jsonb the caller has set, it is not met.
    mark = _MARKS[kind]
    given = ", ".join(f"CAST(CAST({mark.format(number)} AS text) AS {wanted})" for number, wanted in enumerate(call.types, 1))
    return f'SELECT CAST("{schema}".{call.function}({given}) AS text)'


def _for_sqlalchemy(schema: str, call: Call) -> tuple[Any, dict[str, str]]:
    from sqlalchemy import text

    return text(_statement(schema, call, "sqlalchemy")), {f"p{number}": value for number, value in enumerate(call.values, 1)}


def _first(row: Mapping[str, Any] | Sequence[Any]) -> str:
    return str(next(iter(row.values() if isinstance(row, Mapping) else row)))


def _kind(connection: Any) -> str:
    modules = (base.__module__.partition(".")[0] for base in type(connection).__mro__)
    return next((module for module in modules if module in _MARKS), "")


def _unknown(connection: Any) -> TypeError:
    return TypeError(
        f"connection= takes a connection of asyncpg, psycopg 3 or SQLAlchemy, not a {type(connection).__name__} (synchronous ones with _sync)"
    )

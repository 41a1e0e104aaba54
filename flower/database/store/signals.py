"""Signals: sending them. What they do stands in sql/functions/kr_signals.sql."""

from __future__ import annotations

import json

import asyncpg

from flower.core.errors import KeyReused
from flower.core.signals import Sent, Signal
from flower.database.errors import invalid
from flower.database.pool import Pool
from flower.database.queries import query


class Signals:
    """Sends the statements about signals."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def send(self, signal: Signal) -> Sent:
        """Send *signal*: it continues every step that waits for it, or is kept for the first that will. Raises Invalid or KeyReused."""
        options = {} if signal.idempotency_key is None else {"idempotencyKey": signal.idempotency_key}
        try:
            text = await self._pool.fetchval(query("signal"), signal.name, signal.key, json.dumps(signal.payload), json.dumps(options))
        except asyncpg.PostgresError as error:
            if error.sqlstate == "FL409":
                raise KeyReused(str(signal.idempotency_key), "another payload") from None
            raise invalid(error) or error from None
        sent = json.loads(text)
        return Sent(sent["signalId"], sent["name"], sent["key"], sent.get("duplicate", False), sent.get("waiting"))

"""The transaction in which a task may write its own data: committed together with its outcome, or never."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any

from flower.core.model import Claim
from flower.database.pool import Connection, Pool
from flower.database.store import Store


class Transactions:
    """Lends sessions of *pool* to tasks."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._store = pool, Store(pool)

    def of(self, claim: Claim) -> OwnTransaction:
        """Return the transaction of one attempt, not begun yet."""
        return OwnTransaction(self._pool, self._store, claim)


class OwnTransaction:
    """The transaction of one attempt."""

    def __init__(self, pool: Pool, store: Store, claim: Claim) -> None:
        self._pool, self._store, self._claim = pool, store, claim
        self._lent = AsyncExitStack()
        self._connection: Connection | None = None
        self._transaction: Any = None

    async def begin(self) -> Connection:
        """Return the session, in its transaction. Raises DatabaseLost."""
        if self._connection is None:
            connection = await self._lent.enter_async_context(self._pool.acquire())
            self._transaction = connection.transaction()
            await self._transaction.start()
            self._connection = connection
        return self._connection

    async def finish(self, value: str) -> bool:
        """Record that the attempt has finished with the result *value*, and commit all. False: its claim is gone, and nothing was written.

        Raises DatabaseLost (whether it was committed is not known then), and PostgreSQL's error if the transaction cannot be committed.
        """
        assert self._connection is not None  # noqa: S101 - asked for only after `begin`
        try:
            async with self._lent:
                is_ours = await self._store.workers.finish(self._connection, self._claim, value)
                await (self._transaction.commit() if is_ours else self._transaction.rollback())
                return is_ours
        finally:
            self._connection = None

    async def abandon(self) -> None:
        """Roll all of it back. Raises nothing: whatever is wrong with the session, its end rolls back, too."""
        with suppress(Exception):
            async with self._lent:
                if self._connection is not None:
                    await self._transaction.rollback()

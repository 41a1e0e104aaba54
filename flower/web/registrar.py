"""Lets concurrent requests share a transaction: what gathered while the last call was in flight goes with the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from flower.core.model import Order, Registered
from flower.database.store.flows import Flows

# One call carries at most this many, so that nobody waits long for the orders of others.
_MOST = 100


@dataclass(frozen=True, slots=True)
class _Asked:
    order: Order
    answer: asyncio.Future[Registered]

    def tell(self, outcome: Registered | BaseException) -> None:
        """Answer, unless the caller has gone away."""
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Registrar:
    """Registers orders in batches. An order that is refused does not touch the others: then each goes alone."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._asked: list[_Asked] = []
        self._sending: asyncio.Task[None] | None = None

    async def register(self, order: Order) -> Registered:
        """Start one flow, like `Flows.register`. One with a unique key goes alone: it may have to wait for somebody's open transaction."""
        if "unique" in order.options:
            return await self._flows.register(order)
        asked = _Asked(order, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return await asked.answer

    async def _send(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:_MOST], self._asked[_MOST:]
            try:
                answers = await self._flows.register_all([asked.order for asked in batch])
            except asyncpg.PostgresError:
                await self._send_alone(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
                for asked in batch:
                    asked.tell(error)
            else:
                for asked, registered in zip(batch, answers, strict=True):
                    asked.tell(registered)

    async def _send_alone(self, batch: Sequence[_Asked]) -> None:
        for asked in batch:
            try:
                asked.tell(await self._flows.register(asked.order))
            except Exception as error:  # noqa: BLE001 - as above
                asked.tell(error)

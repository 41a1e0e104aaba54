"""Hears what PostgreSQL notifies, on a connection of its own that is made again for ever. Knows no table and no task.

A notification is a hint and may be lost: after every (re)connection each channel is rung once, and `prove` finds out whether a
connection that looks alive still hears.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from flower.core import log
from flower.database.errors import translate
from flower.database.pool import Connection, connect

_log = log.get()

PROBE_CHANNEL = "flower_probe"
_NEW = "not connected yet"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0


class Listener:
    """Rings *on_notify* with the name of a channel whenever it was notified, and for each channel after every connection.

    *on_notify* must return at once and never raise: it sets events.
    """

    def __init__(self, url: str, schema: str, channels: Sequence[str], on_notify: Callable[[str], None], *, worker: str | None = None) -> None:
        self._url, self._schema, self._worker = url, schema, worker
        self._channels, self._on_notify = tuple(channels), on_notify
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._probes: dict[str, asyncio.Event] = {}
        self._state = _NEW

    @property
    def state(self) -> str:
        """`ok`, or a sentence that says why notifications do not arrive."""
        return self._state

    async def run(self) -> None:
        """Listen until cancelled. Never raises for a database that is away: it comes back, and is waited for with jitter."""
        pause = _FIRST_PAUSE_SECONDS
        try:
            while True:
                try:
                    await self._open()
                except Exception as error:  # noqa: BLE001 - whatever it is, without it nobody would listen any more
                    self._report(str(translate(error, self._url) or error))
                    await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - full jitter: many processes come back at once
                    pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
                    continue
                pause = _FIRST_PAUSE_SECONDS
                await self._ended.wait()
                if self._state == "ok":
                    self._report("the connection ended")
        finally:
            self._cut()

    async def prove(self, send: Callable[[str], Awaitable[object]], deadline_seconds: float) -> bool:
        """Return whether a notification arrives from end to end. If not, the connection is cut, and made anew by `run`.

        *send* notifies PROBE_CHANNEL with the text that it is given, over another connection. Its errors, too, count as no.
        """
        connection, nonce = self._connection, uuid4().hex
        if connection is None:
            return False
        heard = self._probes[nonce] = asyncio.Event()
        try:
            async with asyncio.timeout(deadline_seconds):
                await send(nonce)
                await heard.wait()
        except TimeoutError:
            if connection is self._connection:
                self._report(f"no notification arrived within {deadline_seconds:g} s")
            # Not close: on a dead route that would wait for an answer.
            connection.terminate()
            return False
        except Exception as error:
            if translate(error, self._url) is None:
                raise
            return False
        finally:
            del self._probes[nonce]
        return True

    async def _open(self) -> None:
        connection = await connect(self._url, role="listener", schema=self._schema, worker=self._worker)
        self._connection, self._ended = connection, asyncio.Event()
        ended = self._ended
        connection.add_termination_listener(lambda _: ended.set())
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._hear)
            await connection.add_listener(PROBE_CHANNEL, self._hear_probe)
        except BaseException:
            self._cut()
            raise
        if connection.is_closed():
            ended.set()
        if self._state != _NEW:
            _log.info("listener.back", was=self._state)
        self._state = "ok"
        # Notifications sent while we were away are lost: ring once, the database knows the rest.
        for channel in self._channels:
            self._on_notify(channel)

    def _hear(self, _connection: Any, _pid: int, channel: str, _payload: object) -> None:
        self._on_notify(channel)

    def _hear_probe(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if heard := self._probes.get(str(payload)):
            heard.set()

    def _report(self, reason: str) -> None:
        if self._state == "ok":
            _log.warning("listener.lost", reason=reason)
        self._state = reason

    def _cut(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

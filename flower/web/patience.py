"""Knows all clients that are connected and which of them we wait for, and ends those that take too long. Knows nothing of HTTP.

A client that is waited for holds a connection and does nothing for it; a thousand of them are an attack, and from outside they
look like honest ones on a slow line. So each has a deadline, and where there is no room the one that has kept us waiting longest
makes it: honest clients send a whole request at once and are never that one for long. Those who rest after an answer go last: they
have shown that they can ask.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from flower.core import log

_log = log.get()


class Client(Protocol):
    """Somebody who is connected."""

    def end(self) -> None:
        """Close the connection at once, whatever has not been sent yet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many clients may be connected, and how long each may take.

    *head_seconds*: from the connection, or the first byte after an answer, until the head of a request is whole.
    *idle_seconds*: to take an answer, and then until the next request begins.
    *most*: leaves room under the 1024 files that a process may usually have open.
    """

    head_seconds: float = 10
    idle_seconds: float = 30
    most: int = 512


class Patience:
    """The clients of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._clients: set[Client] = set()
        # Until when, in order of since when.
        self._waited_for: dict[Client, float] = {}
        self._resting: dict[Client, float] = {}
        self._look: asyncio.TimerHandle | None = None
        self._crowded_out = 0

    def admit(self, client: Client) -> bool:
        """Let *client* in. Where there is no room, the one we have waited for longest has to go; False: all are being served."""
        if len(self._clients) >= self.limits.most:
            self._crowded_out += 1
            longest = next(chain(self._waited_for, self._resting), None)
            if longest is None:
                return False
            self._end(longest)
        self._clients.add(client)
        return True

    def wait(self, client: Client, seconds: float) -> None:
        """Wait for *client* from now on, for *seconds* at most."""
        self._put(self._waited_for, client, seconds)

    def rest(self, client: Client, seconds: float) -> None:
        """Let *client* do nothing, for *seconds* at most: it owes us nothing."""
        self._put(self._resting, client, seconds)

    def wait_on(self, client: Client) -> None:
        """Go on waiting for *client*: somebody else has an eye on how long."""
        if client in self._waited_for:
            self._waited_for[client] = math.inf

    def wait_no_more(self, client: Client) -> None:
        """Stop waiting for *client*: it is our turn."""
        self._waited_for.pop(client, None)
        self._resting.pop(client, None)

    def leave(self, client: Client) -> None:
        """Forget *client*, who is gone."""
        self._clients.discard(client)
        self.wait_no_more(client)

    def _put(self, among: dict[Client, float], client: Client, seconds: float) -> None:
        # One that had to go may still be about to hear of it.
        if client in self._clients:
            self.wait_no_more(client)
            among[client] = asyncio.get_running_loop().time() + seconds
            if self._look is None:
                self._look_later()

    def _look_later(self) -> None:
        # One look at all of them costs less than a timer for each request, and nobody minds a tenth more.
        self._look = asyncio.get_running_loop().call_later(self.limits.head_seconds / 10, self._look_at_all)

    def _look_at_all(self) -> None:
        self._look = None
        now = asyncio.get_running_loop().time()
        late = [client for client, until in chain(self._waited_for.items(), self._resting.items()) if until <= now]
        for client in late:
            self._end(client)
        if late:
            _log.debug("http.clients_late", ended=len(late))
        if self._crowded_out:
            # Once a look: a line for each would let strangers fill the disk.
            _log.warning("http.crowded", most=self.limits.most, ended=self._crowded_out)
            self._crowded_out = 0
        if self._clients:
            self._look_later()

    def _end(self, client: Client) -> None:
        self.leave(client)
        client.end()

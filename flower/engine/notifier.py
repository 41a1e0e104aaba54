"""Tells a URL of failures: once when an incident comes, once when it is over, again and again until it is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import asyncpg

from flower.core import log
from flower.core.errors import ConfigurationError, DatabaseLost
from flower.core.masks import mask
from flower.core.model import Json
from flower.database.errors import refusal
from flower.database.store import Store
from flower.database.store.incidents import Tiding

_log = log.get()

_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_AT_ONCE = 20
_LONGEST_MESSAGE = 1_000


class Notifier:
    """Looks every few seconds for incidents that *url* was not told of. Several processes may do so on one database: each is told by one."""

    def __init__(self, url: str, store: Store) -> None:
        self._url, self._store = url, store

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.tell()
            except (DatabaseLost, ConfigurationError, asyncpg.PostgresError) as error:
                _log.warning("notifier.failed", message=refusal(error) if isinstance(error, asyncpg.PostgresError) else str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def tell(self) -> None:
        """Tell what is to be told now. What is not taken comes again, after half a minute and then less and less often."""
        await asyncio.gather(*map(self._tell, await self._store.incidents.to_tell(_AT_ONCE)))

    async def _tell(self, tiding: Tiding) -> None:
        try:
            await post(self._url, _message(tiding))
        except OSError as error:
            _log.warning("incident.not_told", incident=tiding.id, told=tiding.event, reason=str(error))
        else:
            await self._store.incidents.told(tiding)
            _log.info("incident.told", incident=tiding.id, told=tiding.event)


async def post(url: str, message: Json) -> None:
    """Send *message*. Raises OSError, with a sentence, if it is not taken with a 2xx."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=message, allow_redirects=False) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise OSError(f"it cannot be reached: {type(error).__name__} {error}".rstrip()) from None
    if not 200 <= status < 300:  # noqa: PLR2004 - success
        raise OSError(f"it answered {status}")


def example() -> Json:
    """Return what is sent to try whether it is taken."""
    what = {"program": "example", "type": "ExampleError", "message": "nothing has failed: this is a test", "flows": 0, "tasks": 0}
    return _message(Tiding("test", "opened", what))


def _message(tiding: Tiding) -> Json:
    what: dict[str, Any] = mask(tiding.what)
    flows = "1 flow" if what.get("flows") == 1 else f"{what.get('flows')} flows"
    text = f"{flows}, {what.get('program')}: {what.get('type')}: {str(what.get('message'))[:_LONGEST_MESSAGE]}"
    told = f"over: {text}" if tiding.event == "closed" else text
    return {
        "event": f"incident.{tiding.event}",
        "incident": tiding.id,
        "text": told,
        "program": what.get("program"),
        "type": what.get("type"),
        "message": what.get("message"),
        "where": what.get("place"),
        "flows": what.get("flows"),
        "tasks": what.get("tasks"),
        "since": what.get("since"),
        "closedAt": what.get("closed"),
        "flowId": what.get("flow_id"),
    }

"""POST /api/signals/{name}: sends a signal to the steps that wait for it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictStr
from pydantic.alias_generators import to_camel

from flower.core import shapes
from flower.core.errors import FieldError, Invalid
from flower.core.signals import Signal, key_text
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, body, query, tail, valid, with_key

_SIGNALS = "/api/signals"

routes = web.RouteTableDef()


class Sending(BaseModel):
    """The body of `POST /api/signals/{name}`, which may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    key: Any = Field(
        default=None,
        description="a text or number of at most 512 bytes; none is the empty text",
        json_schema_extra={"type": ["string", "number", "null"]},
    )
    payload: Any = Field(default=None, description="the result of the steps that wait for it, any JSON")
    idempotency_key: StrictStr | None = Field(default=None, min_length=1, description="the same for the same name and key is the same signal")


@routes.post(_SIGNALS + r"/{name:[\s\S]+}")
async def signal(request: web.Request) -> web.Response:
    """Send a signal: whatever waits for it goes on, or the first step that comes to wait."""
    query(request, NoQuery)
    sending = valid(Sending, await _sent(request))
    if isinstance(sending.key, bool):
        raise Invalid([FieldError("key", f"a text or a number is wanted, not {json.dumps(sending.key)}")])
    signal = Signal(tail(request, _SIGNALS + "/"), key_text(sending.key), sending.payload, sending.idempotency_key)
    return answer(shapes.sent(await request.app[STORE].signals.send(signal)))


async def _sent(request: web.Request) -> dict[str, Any]:
    given = await body(request) or {}
    return with_key(request, given)

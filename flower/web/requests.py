"""Reads what a request carries: the tail of its path, its query, its body. Refuses what cannot be taken and says how to send it."""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from flower.core import strict
from flower.core.errors import FieldError, Invalid, RequestRefused
from flower.core.model import Json
from flower.web.keys import BODY_SECONDS, LARGE_BODIES, SESSION

LARGEST_BODY = 1024 * 1024
# Anybody may send a form, and its fields are taken apart in the loop.
_LARGEST_FORM = 8 * 1024
# How many large bodies are taken in at once: as many as may connect would fill the memory of a small machine.
MOST_LARGE_BODIES = 32

# Above this many bytes a body is large: reading its JSON takes long enough to be noticed by everything else in the loop.
_MUCH = 64 * 1024
_NUL = "a NUL character (%00), which PostgreSQL cannot keep"
_LONGEST_EXAMPLE = 500
_EXAMPLE = '{"parameters": {"name": "value"}}'

Model = TypeVar("Model", bound=BaseModel)


def tail(request: web.Request, prefix: str) -> str:
    """Return what follows *prefix* in the path, percent-decoded, without one trailing slash; slashes inside stay as they are.

    Raises Invalid for NUL characters and what is not UTF-8.
    """
    # From the raw path, decoded once: in aiohttp's path `%2F` and `%252F` look alike.
    raw = request.rel_url.raw_path.removeprefix(prefix).removesuffix("/")
    try:
        text = unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeError:
        raise Invalid([FieldError("path", "not UTF-8 (percent-encode the UTF-8 bytes of each character)")]) from None
    if not strict.is_clean(text):
        raise Invalid([FieldError("path", _NUL)])
    return text


def part(request: web.Request, name: str) -> str:
    """Return the part of the path that the route calls *name*, percent-decoded. Raises Invalid for NUL characters."""
    text = request.match_info[name]
    if not strict.is_clean(text):
        raise Invalid([FieldError(name, _NUL)])
    return text


def with_key(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Return the body *given* with the key of the header Idempotency-Key. Raises Invalid for a header that says another key, or comes twice."""
    keys = request.headers.getall("Idempotency-Key", [])
    if keys and any(key != given.setdefault("idempotencyKey", keys[0]) for key in keys):
        raise Invalid([FieldError("idempotencyKey", "the header Idempotency-Key says another key than the body, or comes twice")])
    return given


def query(request: web.Request, model: type[Model]) -> Model:
    """Return the query as *model*. Raises Invalid for what *model* does not have, and for a value that does not fit.

    A field that is a tuple takes whatever is given under its name; any other may be given once.
    """
    given = request.rel_url.query
    many = {name for name, field in model.model_fields.items() if get_origin(field.annotation) is tuple}
    repeated = [FieldError(name, "given more than once") for name in dict.fromkeys(given) if name not in many and len(given.getall(name)) > 1]
    unclean = [FieldError(name, _NUL) for name, value in given.items() if not strict.is_clean(name + value)]
    if repeated or unclean:
        raise Invalid(repeated + unclean)
    return valid(model, {name: given.getall(name) if name in many else given[name] for name in given}, "query parameter")


class NoQuery(BaseModel, extra="forbid"):
    """A route that takes nothing in its query."""


async def body(request: web.Request) -> dict[str, Json] | None:
    """Return the JSON object that is the body; None if there is no body. Raises as `json_body` does, and Invalid for what is no object."""
    value = await json_body(request)
    if value is not None and not isinstance(value, dict):
        raise Invalid([FieldError("", f"the body must be a JSON object, like {_EXAMPLE}")])
    return value


async def json_body(request: web.Request) -> Json | None:
    """Return what the body says in JSON; None if there is no body, whatever its content type.

    Raises RequestRefused, NotJson or Invalid. Answers 408 when the body has not come whole after BODY_SECONDS.
    """
    if not request.body_exists:
        return None
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "a Content-Encoding is not taken: send the body as it is")
    received = await _receive(request)
    if not received:
        return None
    text = _decoded(request, received)
    value = await asyncio.to_thread(strict.loads, text) if len(received) > _MUCH else strict.loads(text)
    if value is None:
        raise Invalid([FieldError("", f"the body must be a JSON object, like {_EXAMPLE}")])
    return value


async def form(request: web.Request) -> dict[str, str]:
    """Return the fields of an HTML form that was sent, the last of a name. Raises RequestRefused for what is no form, and as `body` does."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise RequestRefused(415, "a form is taken here: application/x-www-form-urlencoded")
    if (request.content_length or 0) > _LARGEST_FORM:
        raise _too_large(_LARGEST_FORM)
    received = await _receive(request)
    if len(received) > _LARGEST_FORM:
        raise _too_large(_LARGEST_FORM)
    return dict(parse_qsl(received.decode("utf-8", "replace"), keep_blank_values=True))


def valid(model: type[Model], value: Json, what: str = "field") -> Model:
    """Return *value* as *model*. Raises Invalid with a path each; a name that *model* does not have is called unknown *what*, with near ones."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        names = [field.alias or name for name, field in model.model_fields.items()]
        raise Invalid([_field_error(problem, names, what) for problem in error.errors(include_url=False)]) from None


def moment(text: str) -> datetime:
    """Return the time that *text* says in ISO 8601 with its zone, in UTC. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("no time in ISO 8601, like 2026-11-24T14:00:00+01:00") from None
    if at.tzinfo is None:
        raise ValueError("a time without its zone; write it like 2026-11-24T14:00:00+01:00 or 2026-11-24T13:00:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("the year must be between 1 and 9999, in UTC too") from None


def curl(request: web.Request, json_body: str | None = None, *, method: str = "POST") -> str:
    """Return a command for a shell that sends this request as it should be."""
    parts = [f"curl -X {method}"]
    if request.app[SESSION] is not None:
        parts.append('-H "Authorization: Bearer $FLOWER_TOKEN"')
    if json_body is not None:
        parts.append(f"-H 'Content-Type: application/json' -d {shlex.quote(json_body)}")
    return " ".join([*parts, shlex.quote(f"{request.headers.get('Host', 'localhost:8000')}{request.rel_url.raw_path}")])


async def _receive(request: web.Request) -> bytes:
    if (request.content_length or 0) > LARGEST_BODY:
        raise _too_large()
    try:
        if request.content.is_eof():
            # It came with its head, as nearly every body does: a timer would cost more than all of the reading.
            return request.content.read_nowait()
        async with asyncio.timeout(request.app[BODY_SECONDS]):
            return await _received(request)
    except TimeoutError:
        late = f"the body did not come whole within {request.app[BODY_SECONDS]:g} s (of those above {_MUCH} bytes {MOST_LARGE_BODIES} come at once)"
        raise RequestRefused(408, late) from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise RequestRefused(400, "the body broke off, or its chunks are malformed") from None


async def _received(request: web.Request) -> bytes:
    received = bytearray()
    await _read(request, received, _MUCH)
    if not request.content.at_eof():
        async with request.app[LARGE_BODIES]:
            await _read(request, received, LARGEST_BODY + 1)
    if len(received) > LARGEST_BODY:
        raise _too_large()
    return bytes(received)


async def _read(request: web.Request, received: bytearray, size: int) -> None:
    """Add to *received* what comes, until it is *size* long or whole."""
    while len(received) < size and (chunk := await request.content.read(size - len(received))):
        received += chunk


def _too_large(limit: int = LARGEST_BODY) -> RequestRefused:
    advice = "; store what is large elsewhere and pass a key or a path" if limit == LARGEST_BODY else ""
    return RequestRefused(413, f"the body is larger than {limit} bytes{advice}")


def _decoded(request: web.Request, received: bytes) -> str:
    kind = request.content_type
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json or (request.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        given = request.headers.get("Content-Type", "none")
        raise RequestRefused(
            415, f"the body must be JSON in UTF-8, not Content-Type {given}: {curl(request, _example(received), method=request.method)}"
        )
    try:
        return received.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestRefused(400, f"this is not JSON: not UTF-8 (byte {error.start})") from None


def _example(received: bytes) -> str:
    # Whoever forgot only the header gets back the very command to send, others one that shows the form.
    try:
        text = received.decode("utf-8").strip()
        return text if len(text) <= _LONGEST_EXAMPLE and isinstance(json.loads(text), dict) else _EXAMPLE
    except (ValueError, RecursionError):
        return _EXAMPLE


def _field_error(problem: Any, names: list[str], what: str) -> FieldError:
    path = ""
    for part in problem["loc"]:
        path = strict.below(path, part)
    if problem["type"] == "extra_forbidden":
        if len(problem["loc"]) > 1:
            return FieldError(path, f"unknown {what}")
        near = get_close_matches(path, names, n=1)
        known = f"known are: {', '.join(names)}" if names else "none is known here"
        return FieldError(path, f"unknown {what}; " + (f"did you mean {near[0]}? " if near else "") + known)
    return FieldError(path, str(problem["msg"]).removeprefix("Value error, "))

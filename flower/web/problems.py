"""Turns every error into an answer, once: /register says `failed` in its own form, everything else is a problem document (RFC 9457)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from flower.core import log
from flower.core.errors import DatabaseFull, DatabaseLost, FieldError, Invalid, RequestRefused, UsageError
from flower.web.answers import HEADERS, answer
from flower.web.auth import SIGN_IN
from flower.web.rendering import show, wants_page
from flower.web.requests import curl, tail

_log = log.get()

REGISTER: Final = "/register"

# Long enough for a restarted server to be back, short enough for a person who waits.
_RETRY_SECONDS = 2

_FULL = "the disk of the database is full"

_TITLES = {status.value: status.phrase for status in HTTPStatus} | {413: "Content Too Large", 422: "Unprocessable Content"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error on its way to the client."""

    status: int
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def problems(check: Callable[[web.Request], None]) -> Middleware:
    """Return the middleware that answers whatever goes wrong in *check*, which may raise, and further in. It tells only what the caller can use."""

    @web.middleware
    async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        try:
            check(request)
            response = await handler(request)
        except web.HTTPRedirection as moved:
            moved.headers.update(HEADERS)
            raise
        except Exception as error:  # noqa: BLE001 - the last one who can answer
            response = _answer(request, _refusal(request, error))
        _log.debug("http.answered", method=request.method, path=request.rel_url.raw_path, status=response.status, seconds=perf_counter() - began)
        return response

    return respond


def _refusal(request: web.Request, error: Exception) -> Refusal:
    if isinstance(error, UsageError):
        return Refusal(
            error.status,
            str(error),
            errors=error.errors if isinstance(error, Invalid) else (),
            headers=error.headers if isinstance(error, RequestRefused) else {},
        )
    if isinstance(error, DatabaseLost):
        return _lost(request, error)
    if isinstance(error, web.HTTPMethodNotAllowed):
        return _wrong_method(request, error)
    if isinstance(error, web.HTTPNotFound):
        return Refusal(404, f"there is nothing at {request.rel_url.raw_path} (GET /openapi.json describes what there is)")
    if isinstance(error, web.HTTPException):
        return Refusal(error.status, error.text or error.reason)
    return _failed(request, error)


def _lost(request: web.Request, error: DatabaseLost) -> Refusal:
    _log.debug("http.database_lost", method=request.method, path=request.rel_url.raw_path, error=str(error))
    is_full = isinstance(error, DatabaseFull)
    sentence = f"{_FULL}; make room there, and try again" if is_full else "the database cannot be reached just now; try again"
    if _is_register(request):
        reason, advice = (_FULL, "make room there, and try again") if is_full else ("the database did not answer", "try again")
        sentence = f"{reason}, so it is not known whether the flow was started: {advice} (with an idempotency key it starts once)"
    return Refusal(503, sentence, headers={"Retry-After": str(_RETRY_SECONDS)})


def _wrong_method(request: web.Request, error: web.HTTPMethodNotAllowed) -> Refusal:
    allowed = sorted(error.allowed_methods)
    sentence = f"{request.method} is not possible here, only {', '.join(allowed)}"
    if _is_register(request):
        sentence = f"a workflow is started with POST, not {request.method}: {curl(request)}"
    return Refusal(405, sentence, headers={"Allow": ", ".join(allowed)})


def _failed(request: web.Request, error: Exception) -> Refusal:
    # The number is all that the caller learns: messages of ours may hold SQL, paths or addresses.
    number = secrets.token_hex(8)
    _log.error("http.failed", request=number, method=request.method, path=request.rel_url.raw_path, exc_info=error)
    return Refusal(500, f"something went wrong in Flower; its log says more under request {number}", headers={"X-Request-Id": number})


def _answer(request: web.Request, refusal: Refusal) -> web.Response:
    errors = [{"path": error.path, "message": error.message} for error in refusal.errors]
    title = _TITLES.get(refusal.status, "Error")
    if _is_register(request):
        failed = {"status": "failed", "taskId": _task_id(request), "description": refusal.detail, "errors": errors}
        response = answer(failed, refusal.status, headers=refusal.headers)
    elif wants_page(request):
        if refusal.status == web.HTTPUnauthorized.status_code:
            return web.Response(status=303, headers={**HEADERS, "Location": f"{SIGN_IN}?{urlencode({'next': request.path_qs})}"})
        response = show(request, "error.html", status=refusal.status, headers=refusal.headers, title=title, refusal=refusal)
    else:
        problem = {"type": "about:blank", "title": title, "status": refusal.status, "detail": refusal.detail, "errors": errors}
        response = answer(problem, refusal.status, headers=refusal.headers, content_type="application/problem+json")
    if refusal.status in {408, 413}:
        # The rest of the body is of no use: the connection ends with this answer.
        response.force_close()
    return response


def _is_register(request: web.Request) -> bool:
    path = request.rel_url.raw_path
    return path == REGISTER or path.startswith(REGISTER + "/")


def _task_id(request: web.Request) -> str:
    try:
        return tail(request, REGISTER + "/") if request.rel_url.raw_path != REGISTER else ""
    except Invalid:
        # What cannot be decoded is given back as it came.
        return request.rel_url.raw_path.removeprefix(REGISTER + "/")

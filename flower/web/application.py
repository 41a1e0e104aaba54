"""Puts the HTTP interface together. Knows the routes and what stands before them, nothing of what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from flower.core.errors import ConfigurationError
from flower.core.model import Readiness
from flower.database.store import Store
from flower.web import health, keys, openapi, rendering, static_files
from flower.web.api import events, flows, history, incidents, limits, overview, pauses, register, schedules, signals, verbs, workflows
from flower.web.auth import Session, guard
from flower.web.connections import attended
from flower.web.pages import ask, ask_limits, ask_schedules, many, sign_in
from flower.web.pages import flow as flow_page
from flower.web.pages import flows as flows_page
from flower.web.pages import limits as limits_page
from flower.web.pages import overview as overview_page
from flower.web.pages import schedules as schedules_page
from flower.web.pages import workers as workers_page
from flower.web.pages import workflows as workflows_page
from flower.web.problems import problems
from flower.web.registrar import Registrar
from flower.web.requests import LARGEST_BODY, MOST_LARGE_BODIES
from flower.web.watchers import Watchers

_PLANS_AT_ONCE = 1

INTERFACE = (register, flows, verbs, signals, pauses, incidents, limits, schedules, workflows, history, overview, events, health, openapi)
_PAGES = (
    *(static_files, sign_in, overview_page, many, ask, ask_limits, ask_schedules),
    *(flows_page, flow_page, workflows_page, schedules_page, limits_page, workers_page),
)


def create_app(
    *,
    store: Store,
    ready: Callable[[], Awaitable[Readiness]],
    token: str | None,
    allowed_hosts: Sequence[str],
    is_local: bool,
    body_seconds: float = 10,
) -> web.Application:
    """Return the application. Raises ConfigurationError for one that others can reach and that asks for no token.

    *ready* is asked at each GET /readyz. *body_seconds*: how long the body of a request may take to come whole.
    """
    if token is None and not is_local:
        raise ConfigurationError("others can reach this address: set a token (--token or FLOWER_TOKEN), or listen on 127.0.0.1")
    session = None if token is None else Session(token)
    app = web.Application(middlewares=[attended, problems(guard(session, allowed_hosts))], client_max_size=LARGEST_BODY)
    app[keys.STORE], app[keys.REGISTRAR], app[keys.READY] = store, Registrar(store.flows), ready
    app[keys.BODY_SECONDS], app[keys.SESSION] = body_seconds, session
    app[keys.LARGE_BODIES] = asyncio.Semaphore(MOST_LARGE_BODIES)
    app[keys.PLANS] = asyncio.Semaphore(_PLANS_AT_ONCE)
    app[keys.WATCHERS] = Watchers(store.changes)
    app.on_shutdown.append(_send_watchers_home)
    rendering.setup(app)
    for module in (*INTERFACE, *_PAGES):
        app.add_routes(module.routes)
    return app


async def _send_watchers_home(app: web.Application) -> None:
    app[keys.WATCHERS].end()

"""What handlers find in the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from flower.core.model import Readiness
from flower.database.store import Store
from flower.web.auth import Session
from flower.web.registrar import Registrar
from flower.web.watchers import Watchers

REGISTRAR: web.AppKey[Registrar] = web.AppKey("registrar", Registrar)
STORE: web.AppKey[Store] = web.AppKey("store", Store)
READY: web.AppKey[Callable[[], Awaitable[Readiness]]] = web.AppKey("ready")
BODY_SECONDS: web.AppKey[float] = web.AppKey("body_seconds", float)
LARGE_BODIES: web.AppKey[asyncio.Semaphore] = web.AppKey("large_bodies", asyncio.Semaphore)
WATCHERS: web.AppKey[Watchers] = web.AppKey("watchers", Watchers)
# A plan may take a second of the database: of the connections that there are for HTTP most must stay free.
PLANS: web.AppKey[asyncio.Semaphore] = web.AppKey("plans", asyncio.Semaphore)
SESSION: web.AppKey[Session | None] = web.AppKey("session")

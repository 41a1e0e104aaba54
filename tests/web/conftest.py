"""The HTTP interface over a store in memory: these tests are about HTTP. Those on PostgreSQL are in test_end_to_end.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web

from flower.core.model import Readiness
from flower.web import create_app, create_runner
from tests.web.asking import Client, Connect
from tests.web.memory import Changes, Flows, Logs, Tasks, Workflows


@pytest.fixture
def flows() -> Flows:
    return Flows()


@pytest.fixture
def workflows() -> Workflows:
    return Workflows()


@pytest.fixture
async def connect(flows: Flows, workflows: Workflows) -> AsyncIterator[Connect]:
    """Starts the interface with the settings given, and connects to it."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Client:
            store: Any = SimpleNamespace(flows=flows, tasks=Tasks(flows), workflows=workflows, logs=Logs(), changes=Changes())
            limits = settings.pop("limits", None)
            is_ready: Readiness = settings.pop("ready", Readiness("ok", "ok", "ok"))

            async def ready() -> Readiness:
                return is_ready

            app = create_app(**{"store": store, "ready": ready, "token": None, "allowed_hosts": (), "is_local": True} | settings)
            runner = create_runner(app, limits=limits)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Client(await stack.enter_async_context(ClientSession()), runner.addresses[0][1])

        yield start


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()

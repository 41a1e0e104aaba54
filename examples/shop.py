"""A web application that starts a workflow in the transaction of its own data: both are there, or neither.

FLOWER_DATABASE_URL=$(python -m flower url) python examples/shop.py, then: curl -X POST localhost:8080/close/2026-03-31
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

import flower

POOL: web.AppKey[asyncpg.Pool] = web.AppKey("pool", asyncpg.Pool)


async def close(request: web.Request) -> web.Response:
    """Note that a day is closed, and have its sales counted."""
    day = request.match_info["day"]
    async with request.app[POOL].acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO closed_days (day) VALUES ($1::text::date)", day)
        flow = await flower.start("sales", {"day": day}, connection=connection)
    return web.json_response({"flow": flow.id})


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Keep connections while the application runs."""
    async with asyncpg.create_pool(os.environ["FLOWER_DATABASE_URL"]) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS closed_days (day date PRIMARY KEY)")
        app[POOL] = pool
        yield


def create_app() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.cleanup_ctx.append(connected)
    app.add_routes([web.post("/close/{day}", close)])
    return app


if __name__ == "__main__":
    web.run_app(create_app(), host="127.0.0.1", port=8080)

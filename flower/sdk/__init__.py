"""What user code touches. Knows neither asyncpg nor aiohttp."""

from __future__ import annotations

from flower.sdk.context import context
from flower.sdk.task import Task, task

__all__ = ["Task", "context", "task"]

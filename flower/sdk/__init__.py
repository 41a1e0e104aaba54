"""What user code touches. Knows neither asyncpg nor aiohttp."""

from __future__ import annotations

from flower.sdk.context import context
from flower.sdk.ending import Retry, Skip, Suspend
from flower.sdk.flow import Flow, start, start_sync
from flower.sdk.retry import Backoff
from flower.sdk.signals import signal, signal_sync, wait_for
from flower.sdk.task import Task, task
from flower.sdk.workflow import Workflow, workflow

__all__ = [
    "Backoff",
    "Flow",
    "Retry",
    "Skip",
    "Suspend",
    "Task",
    "Workflow",
    "context",
    "signal",
    "signal_sync",
    "start",
    "start_sync",
    "task",
    "wait_for",
    "workflow",
]

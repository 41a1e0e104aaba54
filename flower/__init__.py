"""Flower: a workflow engine that lives in PostgreSQL.

General layout, one way down, nothing imports upward:

    cli, testing  app  client  web  engine  database  programs  sdk  core

The SQL that does the bookkeeping stands in the top-level folder sql/, which is the package flower.sql once installed.
"""

from __future__ import annotations

from flower.core.errors import FlowFailed
from flower.core.schedule import Cron, Every
from flower.sdk import Backoff, Flow, Retry, Skip, Suspend, context, signal, signal_sync, start, start_sync, task, wait_for, workflow

__all__ = [
    "Backoff",
    "Cron",
    "Every",
    "Flow",
    "FlowFailed",
    "Retry",
    "Skip",
    "Suspend",
    "context",
    "signal",
    "signal_sync",
    "start",
    "start_sync",
    "task",
    "wait_for",
    "workflow",
]

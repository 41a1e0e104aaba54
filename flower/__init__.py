"""Flower: a workflow engine that lives in PostgreSQL.

General layout, one way down, nothing imports upward:

    cli  app  web  engine  database  programs  sdk  core

The SQL that does the bookkeeping stands in the top-level folder sql/, which is the package flower.sql once installed.
"""

from __future__ import annotations

from flower.sdk import context, task

__all__ = ["context", "task"]

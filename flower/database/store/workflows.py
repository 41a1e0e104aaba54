"""Workflows: their definitions, as people wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import groupby

import asyncpg

from flower.core.errors import UnknownWorkflow
from flower.core.model import Step, Workflow
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import json_of


class Workflows:
    """Sends the statements about definitions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self) -> tuple[Workflow, ...]:
        """Return all workflows in order of their names."""
        return await self._of(None)

    async def get(self, workflow: str) -> Workflow:
        """Return one workflow. Raises UnknownWorkflow, with names that look like it."""
        found = await self._of(workflow)
        if not found:
            raise await self.unknown(workflow)
        return found[0]

    async def unknown(self, workflow: str) -> UnknownWorkflow:
        """Return the error for a name that no workflow has."""
        rows = await self._pool.fetch(query("workflow_names"))
        return UnknownWorkflow(workflow, get_close_matches(workflow, [row["workflow"] for row in rows], n=3))

    async def _of(self, workflow: str | None) -> tuple[Workflow, ...]:
        rows = await self._pool.fetch(query("workflows"), workflow)
        return tuple(Workflow(name, _steps(list(steps))) for name, steps in groupby(rows, lambda row: str(row["workflow"])))


def _steps(rows: Sequence[asyncpg.Record]) -> tuple[Step, ...]:
    return tuple(
        Step(
            seq=row["seq"],
            name=row["name"],
            program=row["program"],
            priority=row["priority"],
            parameters=json_of(row["parameters"]),
            depends_on=None if row["depends_on"] is None else tuple(row["depends_on"]),
            known=row["known"],
        )
        for row in rows
    )

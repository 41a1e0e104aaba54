"""Workflows: their definitions, as people wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby

import asyncpg

from flower.core.definition import Definition
from flower.core.errors import UnknownRevision, UnknownWorkflow
from flower.core.figures import History, PastFlow
from flower.core.model import Program, Step, Workflow
from flower.core.pauses import Pause
from flower.core.revisions import Revision
from flower.core.status import Status
from flower.database.errors import invalid
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import json_of, pause_of

# Of each workflow so many flows are looked at, and of each of those so many tasks.
_FLOWS = 50
_TASKS = 100


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

    async def define(self, definition: Definition, *, origin: str, code: bool, forced: bool = False) -> str:
        """Write *definition*, which comes from *origin*, and return what became of it: written, current, superseded or edited.

        *code*: it stands in a program, so an older or a changed one does not replace what is there, unless *forced*.
        Raises Invalid, with the steps that are wrong.
        """
        text = json.dumps(definition.to_json())
        try:
            found: str = await self._pool.fetchval(query("define"), text, definition.hash if code else None, origin, forced)
        except asyncpg.PostgresError as error:
            raise invalid(error) or error from None
        return found

    async def remove(self, workflow: str) -> None:
        """Remove a workflow; its flows stay. Raises UnknownWorkflow."""
        if not await self._pool.fetchval(query("undefine"), workflow):
            raise await self.unknown(workflow)

    async def unknown(self, workflow: str) -> UnknownWorkflow:
        """Return the error for a name that no workflow has."""
        return UnknownWorkflow(workflow, get_close_matches(workflow, await self.names(), n=3))

    async def names(self, after: str | None = None) -> tuple[str, ...]:
        """Return the ids of all workflows, or of those behind *after*, in the order of Python: the database's collation is another."""
        found = (str(row["workflow"]) for row in await self._pool.fetch(query("workflow_names")))
        return tuple(sorted(name for name in found if after is None or name > after))

    async def histories(self, workflows: Sequence[str]) -> tuple[History, ...]:
        """Return how the latest flows of each of *workflows* went, up to 50 of each, in the order of *workflows*; empty for a name without flows.

        Of a flow up to 100 tasks are looked at, the last by seq: see `PastFlow`.
        """
        rows = await self._pool.fetch(query("history"), list(workflows), _FLOWS, _TASKS)
        found = {name: tuple(_past(row) for row in group) for name, group in groupby(rows, lambda row: str(row["workflow"]))}
        return tuple(History(name, found.get(name, ())[::-1]) for name in workflows)

    async def history(self, workflow: str) -> History:
        """Return the history of one workflow. Raises UnknownWorkflow for one that is not defined and has no flow."""
        (found,) = await self.histories([workflow])
        if not found.flows:
            await self.get(workflow)
        return found

    async def revisions(self, workflow: str, *, before: int | None = None, limit: int = 50) -> tuple[Revision, ...]:
        """Return up to *limit* revisions of a workflow, the newest first, from *before* on. Raises UnknownWorkflow for one that never was."""
        rows = await self._pool.fetch(query("revisions"), workflow, before, limit)
        if not rows and before is None:
            raise await self.unknown(workflow)
        return tuple(_revision(workflow, row) for row in rows)

    async def revision(self, workflow: str, number: int) -> Revision:
        """Return one revision. Raises UnknownWorkflow and UnknownRevision."""
        found = await self.revisions(workflow, before=number + 1, limit=1)
        if found and found[0].revision == number:
            return found[0]
        await self.revisions(workflow, limit=1)
        raise UnknownRevision(workflow, number)

    async def revision_before(self, revision: Revision) -> Revision | None:
        """Return the revision that *revision* took the place of; None for the first."""
        return next(iter(await self.revisions(revision.workflow, before=revision.revision, limit=1)), None)

    async def programs(self, names: Sequence[str]) -> Mapping[str, Program]:
        """Return what is known of those programs of *names* that a worker has ever announced."""
        rows = await self._pool.fetch(query("programs"), list(names))
        return {row["program"]: _program(row) for row in rows}

    async def _of(self, workflow: str | None) -> tuple[Workflow, ...]:
        rows = await self._pool.fetch(query("workflows"), workflow)
        return tuple(_workflow(name, list(steps)) for name, steps in groupby(rows, lambda row: str(row["workflow"])))


def _workflow(name: str, rows: Sequence[asyncpg.Record]) -> Workflow:
    whole = rows[0]
    return Workflow(
        name,
        _steps(rows),
        whole["revision"] or 0,
        json_of(whole["takes"]),
        json_of(whole["result"]),
        whole["flow_timeout"],
        whole["max_flows"],
        _paused(whole),
    )


def _paused(row: asyncpg.Record) -> Pause | None:
    names = ("kind", "name", "reason", "since", "until", "by")
    return None if row["pause_kind"] is None else pause_of({name: row[f"pause_{name}"] for name in names})


def _program(row: asyncpg.Record) -> Program:
    return Program(
        name=row["program"],
        takes=None if row["takes"] is None else tuple(row["takes"]),
        requires=tuple(row["requires"]),
        accepts=json_of(row["accepts"]),
        result=json_of(row["result"]),
        options=json_of(row["options"]),
        place=row["place"],
    )


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
            place=row["place"],
            limits=None if row["limits"] is None else tuple(row["limits"]),
            options=json_of(row["options"]),
        )
        for row in rows
    )


def _past(row: asyncpg.Record) -> PastFlow:
    return PastFlow(
        flow_id=row["flow_id"],
        status=Status[row["status"].upper()],
        outcome=row["outcome"],
        stalled=row["stalled"],
        registered_at=row["registered_at"],
        finished_at=row["finished_at"],
        partly=row["partly"],
    )


def _revision(workflow: str, row: asyncpg.Record) -> Revision:
    steps, takes = json_of(row["steps"]), json_of(row["takes"])
    return Revision(
        workflow=workflow,
        revision=row["revision"],
        at=row["at"],
        by=row["by"],
        source=row["source"],
        steps=tuple(step for step in steps if isinstance(step, dict)) if isinstance(steps, list) else (),
        takes=takes if isinstance(takes, dict) else None,
        result=json_of(row["result"]),
        timeout=row["timeout"],
        is_current=bool(row["is_current"]),
        max_flows=row["max_flows"],
    )

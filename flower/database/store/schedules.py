"""Schedules: workflows that start by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import TypeAlias

import asyncpg

from flower.core.errors import FieldError, FlowerError, Invalid, NotNow, UnknownSchedule, did_you_mean
from flower.core.model import Flow, Json
from flower.core.schedule import MOST_AT_ONCE, Backfilled, Schedule, Timetable, hash_of
from flower.database.errors import refused
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import flow_of, json_of
from flower.database.store.workflows import Workflows

Options = Mapping[str, Json]
_Batch: TypeAlias = Sequence[datetime]

_MOST_NAMES = 10_000


class Schedules:
    """Sends the statements about schedules. The verbs return what was done, and raise UnknownSchedule, UnknownWorkflow, NotNow or Invalid."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, name: str, options: Options) -> Json:
        """Write a schedule, new or in place of what is there."""
        try:
            return json.loads(await self._pool.fetchval(query("schedule"), name, json.dumps(dict(options))))
        except asyncpg.PostgresError as error:
            raise await self._refusal(name, error, str(options.get("workflow"))) from None

    async def declare(self, workflow: str, timetable: Timetable | None) -> str:
        """Write the schedule that code says a workflow has, None: it has none. Return written, current, removed, edited (left alone) or none."""
        options = None if timetable is None else json.dumps(timetable.options(workflow))
        hash_ = None if timetable is None else hash_of(timetable, workflow)
        try:
            became: str = await self._pool.fetchval(query("declare_schedule"), workflow, options, hash_)
        except asyncpg.PostgresError as error:
            raise await self._refusal(workflow, error, workflow) from None
        return became

    async def remove(self, name: str) -> Json:
        """Remove a schedule; its flows stay."""
        return await self._send(query("unschedule"), name)

    async def pause(self, name: str, options: Options) -> Json:
        """Let a schedule make nothing."""
        return await self._send(query("pause_schedule"), name, options)

    async def unpause(self, name: str, options: Options) -> Json:
        """Let a schedule go on, also where it had stopped itself."""
        return await self._send(query("unpause_schedule"), name, options)

    async def fire(self, name: str, options: Options) -> Json:
        """Start its workflow now, whatever its own times are."""
        return await self._send(query("fire_schedule"), name, options)

    async def backfill(
        self, name: str, times: Sequence[datetime], *, dry_run: bool = False, watched: Callable[[Sequence[_Batch]], Iterable[_Batch]] = iter
    ) -> Backfilled:
        """Make a flow for each of *times* that has none yet; *dry_run*: only say for which. A transaction for each batch, *watched* as they go by."""
        batches = [times[begin : begin + MOST_AT_ONCE] for begin in range(0, len(times), MOST_AT_ONCE)]
        lacks, made = list[datetime](), 0
        for batch in watched(batches):
            there = {row["at"] for row in await self._pool.fetch(query("scheduled_times"), name, list(batch))}
            new = [at for at in batch if at not in there]
            lacks += new
            if new and not dry_run:
                made += await self._make(name, new)
        return Backfilled(name, tuple(lacks), made, len(times) - len(lacks), is_planned=dry_run)

    async def _make(self, name: str, times: Sequence[datetime]) -> int:
        try:
            return len(await self._pool.fetch(query("backfill"), name, list(times)))
        except asyncpg.PostgresError as error:
            raise await self._refusal(name, error) from None

    async def list(self, *, limit: int = 100, after: str | None = None, stopped: bool = False, workflow: str | None = None) -> tuple[Schedule, ...]:
        """Return schedules in order of their names, from behind *after*; *stopped*: only those that stopped themselves; or of one *workflow*."""
        return await self._read(None, after, limit, stopped=stopped, workflow=workflow)

    async def get(self, name: str) -> Schedule:
        """Return one schedule. Raises UnknownSchedule, with names that look like it."""
        found = await self._read(name, None, 1)
        if not found:
            raise await self._unknown(name)
        return found[0]

    async def flows(self, name: str, limit: int = 5) -> tuple[Flow, ...]:
        """Return the latest flows of a schedule, the newest first."""
        return tuple(flow_of(row) for row in await self._pool.fetch(query("scheduled_flows"), name, limit))

    async def latest(self, names: Sequence[str]) -> Mapping[str, Flow]:
        """Return the latest flow of each of these schedules, by the schedule's name, where there is one."""
        flows = (flow_of(row) for row in await self._pool.fetch(query("last_of_schedules"), list(names)))
        return {flow.schedule: flow for flow in flows if flow.schedule is not None}

    async def _read(
        self, name: str | None, after: str | None, limit: int, *, stopped: bool = False, workflow: str | None = None
    ) -> tuple[Schedule, ...]:
        return tuple(_schedule(row) for row in await self._pool.fetch(query("schedules"), name, after, limit, stopped, workflow))

    async def _send(self, statement: str, name: str, options: Options | None = None) -> Json:
        try:
            return json.loads(await self._pool.fetchval(statement, name, *([] if options is None else [json.dumps(dict(options))])))
        except asyncpg.PostgresError as error:
            raise await self._refusal(name, error) from None

    async def _refusal(self, name: str, error: asyncpg.PostgresError, workflow: str | None = None) -> FlowerError | asyncpg.PostgresError:
        if error.sqlstate != "FL404":
            return refused(error) or error
        if "schedule" in json.loads(error.detail or "[]"):
            return await self._unknown(name)
        if workflow is None:
            return NotNow(f"the workflow {(await self.get(name)).workflow!r} of the schedule {name!r} is gone: define it again, or name another")
        near = (await Workflows(self._pool).unknown(workflow)).near
        return Invalid([FieldError("workflow", f"no workflow is called {workflow!r}" + did_you_mean(near))])

    async def _unknown(self, name: str) -> UnknownSchedule:
        names = [row["name"] for row in await self._pool.fetch(query("schedule_names"), _MOST_NAMES)]
        return UnknownSchedule(name, get_close_matches(name, names, n=3))


def _schedule(row: asyncpg.Record) -> Schedule:
    return Schedule(
        name=row["name"],
        workflow=row["task_id"],
        cron=row["cron"],
        every=row["every"],
        zone=row["zone"],
        parameters=json_of(row["parameters"]),
        priority=None if row["priority"] is None else int(row["priority"]),
        catch_up=row["catch_up"],
        catch_up_most=row["catch_up_most"],
        overlap=row["overlap"],
        on_failure=row["on_failure"],
        paused=row["paused"],
        reason=row["reason"],
        error=row["error"],
        since_at=row["since_ts"],
        next_at=row["next_ts"],
        last_at=row["last_ts"],
        passed_at=row["passed_ts"],
        passed_why=row["passed_why"],
        by_code=row["by_code"],
        waiting=row["waiting"],
        in_progress=tuple(row["in_progress"]),
        now=row["now"],
    )

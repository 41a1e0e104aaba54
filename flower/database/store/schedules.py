"""Schedules: workflows that start by the clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

import asyncpg

from flower.core.errors import FieldError, FlowerError, Invalid, NotNow, UnknownSchedule
from flower.core.model import Flow, Json
from flower.core.schedule import Due, Schedule, Timetable, hash_of
from flower.database.errors import invalid
from flower.database.pool import Pool
from flower.database.queries import query
from flower.database.store.rows import flow_of, json_of
from flower.database.store.workflows import Workflows

Options = Mapping[str, Json]

_MOST_NAMES = 10_000
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule that is to be looked at, as its row said at *now*. *version* is another one after every change of the row."""

    name: str
    cron: str | None
    every: timedelta | None
    zone: str
    catch_up: str
    catch_up_most: int
    since_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    version: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """What was worked out of a candidate: what is *due*, or the *error* for which it stops itself. *why*: for what is passed over."""

    candidate: Candidate
    due: Due
    why: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a time of a schedule: *what* is taken, fired, passed over or suspended."""

    what: str
    schedule: str
    at: datetime | None
    flow_id: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """In how many *seconds* a schedule's time comes, None: none will. *waiting*: a time of some schedule waits for a flow to end."""

    seconds: float | None
    waiting: bool


class Schedules:
    """Sends the statements about schedules. The verbs return what was done, and raise UnknownSchedule, UnknownWorkflow, NotNow or Invalid."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    # What people do.

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

    async def backfill(self, name: str, times: Sequence[datetime]) -> tuple[str, ...]:
        """Make a flow for each of *times* that has none yet, in one transaction; return their ids."""
        try:
            rows = await self._pool.fetch(query("backfill"), name, list(times))
        except asyncpg.PostgresError as error:
            raise await self._refusal(name, error) from None
        return tuple(row["flow_id"] for row in rows)

    async def made(self, name: str, times: Sequence[datetime]) -> frozenset[datetime]:
        """Return those of *times* that have a flow, or wait for their turn."""
        return frozenset(row["at"] for row in await self._pool.fetch(query("scheduled_times"), name, list(times)))

    # What is there.

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

    # What the engine does.

    async def candidates(self, most: int) -> tuple[Candidate, ...]:
        """Return schedules that are to be looked at: those whose time has come, and those that nobody has worked out yet; up to *most* of each."""
        rows = await self._pool.fetch(query("due_schedules"), most)
        return tuple(
            Candidate(
                name=row["name"],
                cron=row["cron"],
                every=row["every"],
                zone=row["zone"],
                catch_up=row["catch_up"],
                catch_up_most=row["catch_up_most"],
                since_at=row["since_ts"],
                next_at=row["next_ts"],
                last_at=row["last_ts"],
                version=row["version"],
                now=row["now"],
            )
            for row in rows
        )

    async def settle(self, plans: Sequence[Planned]) -> tuple[Event, ...]:
        """Make the flows that are planned, and advance the schedules, all or none. What has changed meanwhile, or is locked, is left as it is."""
        rows = await self._pool.fetch(
            query("fire_schedules"),
            [plan.candidate.name for plan in plans],
            [plan.candidate.version for plan in plans],
            [None if plan.error else plan.due.next_at or _NEVER for plan in plans],
            [plan.error for plan in plans],
            [plan.due.passed for plan in plans],
            [plan.why for plan in plans],
            [plan.candidate.name for plan in plans for _ in plan.due.times],
            [at for plan in plans for at in plan.due.times],
        )
        return tuple(_event(row) for row in rows)

    async def advance(self) -> tuple[Event, ...]:
        """Let times go on that wait for a flow which is over."""
        return tuple(_event(row) for row in await self._pool.fetch(query("advance_schedules")))

    async def alarm(self) -> Alarm:
        """Return when to look next."""
        (row,) = await self._pool.fetch(query("next_schedule"))
        return Alarm(row["seconds"], row["waiting"])

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
        if error.sqlstate == "FL409":
            return NotNow(error.args[0])
        if error.sqlstate == "FL404":
            if "schedule" in (error.detail or ""):
                return await self._unknown(name)
            if workflow is None:
                return NotNow(f"the workflow {(await self.get(name)).workflow!r} of the schedule {name!r} is gone: define it again, or name another")
            unknown = await Workflows(self._pool).unknown(workflow)
            return Invalid(
                [
                    FieldError(
                        "workflow", f"no workflow is called {workflow!r}" + (f"; did you mean {' or '.join(unknown.near)}?" if unknown.near else "")
                    )
                ]
            )
        return invalid(error) or error

    async def _unknown(self, name: str) -> UnknownSchedule:
        names = [row["name"] for row in await self._pool.fetch(query("schedule_names"), _MOST_NAMES)]
        return UnknownSchedule(name, get_close_matches(name, names, n=3))


def _event(row: asyncpg.Record) -> Event:
    return Event(row["event"], row["schedule"], row["nominal"], row["flow_id"], row["message"])


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

"""How figures look in JSON, like `flower.core.shapes`: camelCase, UTC, secrets masked. One function per noun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flower.core.figures import Count, History, LiveWorker, Minute, Noticed, PastFlow
from flower.core.masks import mask
from flower.core.model import Json
from flower.core.notices import Standing
from flower.core.revisions import Change, Difference, Revision, StepChange, shown_steps, shown_takes
from flower.core.shapes import moment, number

# So many of the latest flows are shown one by one; more of them are counted.
_SHOWN = 20


def overview(value: Standing) -> Json:
    """Return how it goes as a whole."""
    return {
        "checks": asdict(value.ready),
        "flows": _counts(value.counts.flows),
        "tasks": _counts(value.counts.tasks),
        "gates": _counts(value.counts.gates),
        "lagSeconds": _seconds(value.lag),
        "minutes": [minute(item) for item in value.minutes],
        "notices": [asdict(item) for item in value.notices],
        "database": {"bytes": value.sizes.database, "tables": dict(value.sizes.tables)},
    }


def minute(value: Minute) -> Json:
    """Return what was recorded in one minute."""
    return {"at": moment(value.at), **asdict(value.counted)}


def worker(value: LiveWorker, seen: Sequence[Noticed]) -> Json:
    """Return one process that is alive, with what it has *seen* of the tasks that it runs."""
    return {
        "workerId": str(value.worker_id),
        "host": value.host,
        "pid": value.pid,
        "version": value.version,
        "slots": value.slots,
        "running": value.running,
        "leaked": value.leaked,
        "programs": list(value.programs),
        "startedAt": moment(value.started_at),
        "beatAt": moment(value.beat_at),
        "silentSeconds": _seconds(value.silent_seconds),
        "leaseUntil": moment(value.lease_until),
        "noticed": [noticed(item) for item in seen if item.worker_id == value.worker_id],
    }


def noticed(value: Noticed) -> Json:
    """Return a task that runs, and what its worker saw of it."""
    return {
        "flowId": value.flow_id,
        "seq": number(value.seq),
        "workflow": value.workflow,
        "name": value.name,
        "program": value.program,
        "notice": mask(value.notice),
    }


def history(value: History) -> Json:
    """Return how the latest flows of a workflow went; the last twenty one by one."""
    return {
        "workflow": value.workflow,
        "flows": [past_flow(item) for item in value.flows[-_SHOWN:]],
        "lookedAt": len(value.flows),
        "finished": value.finished,
        "failed": value.failed,
        "successRate": None if value.success_rate is None else round(value.success_rate, 4),
        "p50Seconds": _seconds(value.percentile(0.5)),
        "p95Seconds": _seconds(value.percentile(0.95)),
    }


def past_flow(value: PastFlow) -> Json:
    """Return one of the latest flows, in short."""
    return {
        "flowId": value.flow_id,
        "status": value.status.word,
        "outcome": value.outcome,
        "stalled": value.stalled,
        "registeredAt": moment(value.registered_at),
        "finishedAt": moment(value.finished_at),
        "seconds": _seconds(value.seconds),
        "partly": value.partly,
    }


def revision(value: Revision) -> Json:
    """Return a workflow as it was defined once."""
    return {
        "workflow": value.workflow,
        "revision": value.revision,
        "current": value.is_current,
        "at": moment(value.at),
        "by": value.by,
        "source": value.source,
        "parameters": shown_takes(value.takes),
        "result": mask(value.result),
        "timeout": value.timeout,
        "maxFlows": value.max_flows,
        "steps": list(shown_steps(value)),
    }


def difference(value: Difference) -> Json:
    """Return what changed from one revision to another."""
    return {
        "workflow": value.workflow,
        "old": value.old,
        "new": value.new,
        "steps": [step_change(item) for item in value.steps],
        "whole": [change(item) for item in value.whole],
        "moved": value.moved,
    }


def step_change(value: StepChange) -> Json:
    """Return what became of one step."""
    return {"name": value.name, "kind": value.kind, "changes": [change(item) for item in value.changes]}


def change(value: Change) -> Json:
    """Return what became of one field."""
    return asdict(value)


def _counts(counts: Mapping[str, Count]) -> Json:
    return {word: asdict(count) for word, count in counts.items()}


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

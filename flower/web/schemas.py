"""What the HTTP interface answers, as JSON schemas by name."""

from __future__ import annotations

from typing import get_args

from flower.core.model import Json
from flower.core.schedule import CatchUp, OnFailure, Overlap
from flower.core.status import Gate, Status, Why

TEXT, _WHOLE, _YES_OR_NO, _ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"description": "any JSON"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_MOMENT = {"type": "string", "format": "date-time"}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_NUMBER = {"type": ["number", "string"], "description": "a number; text for NaN and what a double cannot hold"}
_STATUS = {"type": "string", "description": f"{', '.join(status.word for status in Status)}; or the number that a hand wrote instead"}
_OUTCOME = {"type": ["string", "null"], "description": f"{', '.join(Why)}, or null"}


_KIND = {"enum": ["added", "removed", "changed"]}
_SECONDS = {"type": ["number", "null"]}
_SHARE = {"type": ["number", "null"], "description": "finished ÷ (finished + failed), 0 to 1"}
_BY_WORD = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Count"}}


def ref(name: str) -> Json:
    """Return what stands for the schema called *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _with_some(schema: Json, **optional: Json) -> Json:
    return {**schema, "properties": schema["properties"] | optional}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _list_of(name: str) -> Json:
    return _object(items=_array(ref(name)), next=_TEXT_OR_NULL | {"description": "what to send as `after` for the next part"})


_NAMES, _IF_PLANNED = _array(TEXT), {"const": True, "description": "where this is only the plan"}
_REMARKS = {
    "duplicate": {"const": True, "description": "the same idempotency key had started it before"},
    "skipped": {"const": True, "description": "nothing was started: this one has the same unique key and is in progress"},
    "note": TEXT | {"description": "what you may not have meant, such as a runAt in the past"},
}
_ERRORS = _array(_object(path=TEXT, message=TEXT))
_FLOW = {
    "flowId": TEXT,
    "workflow": TEXT,
    "status": _STATUS,
    "outcome": _OUTCOME,
    "stalled": _YES_OR_NO,
    "priority": _NUMBER,
    "registeredAt": _TIME,
    "finishedAt": _TIME,
    "stoppedAt": _TIME | {"description": "since when all that is left waits on a suspended task"},
    "counts": {"type": "object", "additionalProperties": _WHOLE, "description": "how many tasks by status"},
    "suspended": {"anyOf": [_object(at=_TIME, reason=_TEXT_OR_NULL), {"type": "null"}], "description": "by a person: nothing new of it starts"},
    "revision": {"type": ["integer", "null"], "description": "of the workflow, when the flow was registered; null: a hand wrote its rows"},
    "schedule": _TEXT_OR_NULL | {"description": "the schedule that made it"},
    "scheduledFor": _TIME | {"description": "the time of the schedule that it is for; null: somebody had the schedule fire"},
}

_PAUSE = {
    "kind": {"enum": ["all", "workflow", "program", "limit", "flow"]},
    "name": TEXT | {"description": "of the workflow, program or limit, or the id of the flow; * for everything"},
    "reason": _TEXT_OR_NULL,
    "since": _TIME,
    "until": _TIME | {"description": "it ends by itself then; null: when somebody unpauses"},
    "by": _TEXT_OR_NULL | {"description": "who made it, as far as that is known"},
}

_TASK = {
    "flowId": TEXT,
    "seq": _NUMBER,
    "stepSeq": _NUMBER,
    "workflow": TEXT,
    "name": TEXT,
    "program": _TEXT_OR_NULL,
    "status": _STATUS,
    "outcome": _OUTCOME,
    "attempt": _WHOLE,
    "tries": _WHOLE | {"description": "how many of its attempts are used up"},
    "attempts": _WHOLE | {"description": "how many it has"},
    "crashes": _WHOLE,
    "priority": _NUMBER,
    "dependsOn": _array(_NUMBER),
    "worker": _TEXT_OR_NULL,
    "parameters": _ANYTHING,
    "result": _ANYTHING,
    "error": _ANYTHING,
    "notice": _ANYTHING,
    "progress": _ANYTHING,
    "registeredAt": _TIME,
    "startedAt": _TIME,
    "finishedAt": _TIME,
    "suspendedAt": _TIME,
    "runAfter": _TIME,
    "place": _TEXT_OR_NULL,
}

SCHEMAS: dict[str, Json] = {
    "Registered": _with_some(_object(status={"const": "succeeded"}, taskId=TEXT, taskFlowId=TEXT), **_REMARKS),
    "RegisteredList": _object(status={"const": "succeeded"}, flows=_array(_with_some(_object(taskId=TEXT, taskFlowId=TEXT), **_REMARKS))),
    "Failed": _object(status={"const": "failed"}, taskId=TEXT, description=TEXT, errors=_ERRORS),
    "Problem": _object(type=TEXT, title=TEXT, status=_WHOLE, detail=TEXT, errors=_ERRORS),
    "Flow": _object(**_FLOW, failing={"anyOf": [_object(name=TEXT), {"type": "null"}]}),
    "FlowWithTasks": _object(
        **_FLOW,
        parameters=_ANYTHING | {"description": "what it was started with"},
        result=_ANYTHING | {"description": "what it has resulted in so far"},
        failing={"anyOf": [ref("Failing"), {"type": "null"}]},
        tasks=_array(ref("Task")),
    ),
    "Task": _object(**_TASK),
    "Failing": _object(
        **_TASK,
        said=_array(ref("LogLine")) | {"description": "the last lines"},
        commands={"type": "object", "additionalProperties": TEXT, "description": "what a person may type, by the verb"},
    ),
    "Attempt": _object(
        attempt=_WHOLE, status=_STATUS, outcome=_OUTCOME, startedAt=_TIME, endedAt=_TIME, worker=_TEXT_OR_NULL, result=_ANYTHING, error=_ANYTHING
    ),
    "AttemptList": _list_of("Attempt"),
    "Waiting": _object(seq=_NUMBER, name=TEXT, gate={"enum": [*(gate.value for gate in Gate), None]}, reason=TEXT, reasons=_array(TEXT)),
    "Limit": _object(
        name=TEXT,
        counts={"enum": ["flows", "tasks"]},
        slots={"type": ["integer", "null"], "description": "how many may run at once; null: any number; of a pattern: under each of its names"},
        rate=_TEXT_OR_NULL | {"description": "how many may start in what time, as 10/min"},
        running=_WHOLE,
        ready=_WHOLE | {"description": "let through, and waiting for a slot of a worker"},
        waiting=_WHOLE | {"description": "for this limit"},
        andMore=_YES_OR_NO | {"description": "more wait than were counted"},
        holders=_array(TEXT) | {"description": "up to five tasks that run, as flow/seq, or flows"},
        nextAt=_TIME | {"description": "when the rate lets the next one start"},
    ),
    "LimitList": _list_of("Limit"),
    "Workflow": _object(
        workflow=TEXT,
        revision=_WHOLE,
        parameters=_ANYTHING,
        result=_ANYTHING,
        timeout={"type": ["number", "null"]},
        maxFlows={"type": ["integer", "null"], "description": "how many of its flows may be in progress at once, by its limit; null: any number"},
        paused={"anyOf": [ref("Pause"), {"type": "null"}]},
        steps=_array(ref("Step")),
    ),
    "Pause": _object(**_PAUSE),
    "PauseList": _list_of("Pause"),
    "Paused": _with_some(_object(**_PAUSE), hint=TEXT | {"description": "where nothing is called so by now"}),
    "Unpaused": _object(kind=TEXT, name=TEXT, everythingPaused=_YES_OR_NO | {"description": "it is held all the same"}),
    "Step": _object(
        seq=_NUMBER,
        name=TEXT,
        program=TEXT,
        priority=_NUMBER,
        dependsOn={"type": ["array", "null"], "items": _NUMBER},
        parameters=_ANYTHING,
        limits={"type": ["array", "null"], "items": TEXT},
        known=_YES_OR_NO | {"description": "a live worker has this program"},
        place=_TEXT_OR_NULL | {"description": "file and line of the call, if Python wrote it"},
    ),
    "Done": _object(flowId=TEXT),
    "DoneToTask": _object(flowId=TEXT, seq=_NUMBER, name=TEXT),
    "Cancelled": _object(flowId=TEXT, cancelled=_array(_NUMBER) | {"description": "the seqs that are ignored now"}, resumed=_YES_OR_NO),
    "Ignored": _with_some(
        _object(
            flowId=TEXT,
            seq=_NUMBER,
            name=TEXT,
            runs=_NAMES | {"description": "what runs in turn"},
            ignored=_NAMES | {"description": "what is ignored in turn, for want of data"},
        ),
        dryRun=_IF_PLANNED,
    ),
    "RunsAgain": _with_some(
        _object(
            flowId=TEXT,
            version=TEXT | {"description": "of the flow before it: what to send as `ifUnchanged`"},
            run=_array(_object(seq=_NUMBER, name=TEXT, was=TEXT | {"description": "its status and outcome, or new"})),
            reused=_array(_object(seq=_NUMBER, name=TEXT, finishedAt=_TIME, ageSeconds=_NUMBER)),
            changed=_NAMES | {"description": "whose definition has changed since"},
            gone=_NAMES | {"description": "what the latest definition has no longer"},
        ),
        seq=_NUMBER | {"description": "of the task in `from` or `only`"},
        suspended={"const": True, "description": "where nothing starts before the flow is resumed"},
        running=_NAMES | {"description": "what runs at this moment, and is taken away"},
        dryRun=_IF_PLANNED,
    ),
    "Sent": _with_some(
        _object(signalId=_WHOLE, name=TEXT, key=TEXT),
        waiting=_WHOLE | {"description": "how many steps waited for it at that moment (1000: or more); 0: it is kept for the first that comes"},
        duplicate={"const": True, "description": "sent before, with this idempotency key"},
    ),
    "Incident": _object(
        id=TEXT,
        program=_TEXT_OR_NULL,
        type=_TEXT_OR_NULL,
        message=_TEXT_OR_NULL,
        where=_TEXT_OR_NULL,
        flows=_WHOLE,
        tasks=_WHOLE,
        since=_TIME,
        latest=_TIME,
        flowId=TEXT | {"description": "one of the flows"},
        seq=_NUMBER,
    ),
    "IncidentList": _list_of("Incident"),
    "Deed": _object(at=_TIME, verb=TEXT, seq=_NUMBER | {"type": ["number", "string", "null"]}, who=_TEXT_OR_NULL, role=TEXT, reason=_TEXT_OR_NULL),
    "DeedList": _list_of("Deed"),
    "LogLine": _object(id=TEXT, seq=_NUMBER, attempt=_WHOLE, at=_TIME, level=TEXT, source=TEXT, message=TEXT),
    "LogLineList": _list_of("LogLine"),
    "FlowList": _with_some(
        _list_of("Flow"),
        searchedTo=_MOMENT | {"description": "only where the part stopped before it was full: how far back it has looked; `next` goes on from there"},
    ),
    "WaitingList": _list_of("Waiting"),
    "WorkflowList": _list_of("Workflow"),
    "Count": _object(value=_WHOLE, more=_YES_OR_NO | {"description": "there are more: nobody counted further"}),
    "Overview": _object(
        checks=ref("Checks"),
        flows=_BY_WORD | {"description": "those that are not over, by status"},
        tasks=_BY_WORD | {"description": "those that are not over, by status"},
        gates=_BY_WORD | {"description": "tasks that wait, by what they wait for; new: written just now"},
        lagSeconds=_SECONDS | {"description": "for so long the first in line for a slot could have been running; null: nobody is in line"},
        minutes=_array(ref("Minute")) | {"description": "the last sixty, the oldest first; the last one is still going on"},
        notices=_array(_object(kind=TEXT, message=TEXT)) | {"description": "what an operator should know now"},
        database=_object(
            bytes=_WHOLE, tables={"type": "object", "additionalProperties": _WHOLE, "description": "bytes of Flower's tables, with indexes"}
        ),
    ),
    "Minute": _object(
        at=_TIME,
        finished=_WHOLE | {"description": "attempts that finished"},
        failed=_WHOLE | {"description": "attempts that left their task suspended as failed, poison or invalid"},
        retried=_WHOLE | {"description": "attempts that failed and are tried again"},
    ),
    "Worker": _object(
        workerId=TEXT,
        host=TEXT,
        pid=_WHOLE,
        version=TEXT,
        slots=_WHOLE,
        running=_WHOLE,
        leaked=_WHOLE | {"description": "attempts that go on though they were told to stop"},
        programs=_array(TEXT),
        startedAt=_TIME,
        beatAt=_TIME,
        silentSeconds={"type": "number", "description": "since its last beat"},
        leaseUntil=_TIME | {"description": "until when it may be silent"},
        noticed=_array(ref("Noticed")) | {"description": "what it has seen of tasks that run now"},
    ),
    "Noticed": _object(flowId=TEXT, seq=_NUMBER, workflow=TEXT, name=TEXT, program=_TEXT_OR_NULL, notice=_ANYTHING),
    "WorkerList": _list_of("Worker"),
    "History": _object(
        workflow=TEXT,
        flows=_array(ref("PastFlow")) | {"description": "the last twenty, the newest last"},
        lookedAt=_WHOLE | {"description": "how many of the latest flows the figures below are of, at most 50"},
        finished=_WHOLE,
        failed=_WHOLE | {"description": "those that stand still because a task went wrong"},
        successRate=_SHARE,
        p50Seconds=_SECONDS | {"description": "half of the finished ones took no longer"},
        p95Seconds=_SECONDS,
    ),
    "PastFlow": _object(
        flowId=TEXT,
        status=_STATUS,
        outcome=_OUTCOME,
        stalled=_YES_OR_NO,
        registeredAt=_TIME,
        finishedAt=_TIME,
        seconds=_SECONDS | {"description": "from its registration to the end of its last task; null: it is not over"},
        partly=_YES_OR_NO | {"description": "it has more than 100 tasks, and only the last by seq were looked at"},
    ),
    "HistoryList": _list_of("History"),
    "Revision": _object(
        workflow=TEXT,
        revision=_WHOLE,
        current=_YES_OR_NO | {"description": "new flows get this one"},
        at=_TIME,
        by=TEXT | {"description": "the database's role"},
        source=_TEXT_OR_NULL | {"description": "a module, http, or the application of a session"},
        parameters=_ANYTHING,
        result=_ANYTHING,
        timeout=_SECONDS,
        maxFlows={"type": ["integer", "null"]},
        steps=_array({"type": "object", "description": "a step as it was written, without what it leaves out"}),
    ),
    "RevisionList": _list_of("Revision"),
    "Change": _object(field=TEXT, kind=_KIND, old=_ANYTHING, new=_ANYTHING),
    "Difference": _object(
        workflow=TEXT,
        old=_WHOLE,
        new=_WHOLE,
        steps=_array(_object(name=TEXT, kind=_KIND, changes=_array(ref("Change")))),
        whole=_array(ref("Change")) | {"description": "parameters, result and timeout of the workflow"},
        moved=_WHOLE | {"description": "how many other steps only stand elsewhere in their file"},
    ),
    "Schedule": _object(
        schedule=TEXT,
        workflow=TEXT,
        cron=_TEXT_OR_NULL,
        zone=_TEXT_OR_NULL,
        every=_SECONDS,
        parameters=_ANYTHING,
        priority={"type": ["integer", "null"]},
        catchUp={"enum": list(get_args(CatchUp))},
        catchUpMost=_WHOLE,
        overlap={"enum": list(get_args(Overlap))},
        onFailure={"enum": list(get_args(OnFailure))},
        paused=_YES_OR_NO,
        reason=_TEXT_OR_NULL,
        error=_TEXT_OR_NULL | {"description": "why it has stopped itself"},
        since=_TIME | {"description": "its times count from here on"},
        nextAt=_TIME | {"description": "null: it is paused, or has stopped itself, or never fires again"},
        lastAt=_TIME | {"description": "its latest time that was handled"},
        passedOver={"anyOf": [_object(at=_TIME, why=_TEXT_OR_NULL), {"type": "null"}], "description": "its latest time that made no flow"},
        waiting=_WHOLE | {"description": "times that wait for a flow of it to end"},
        inProgress=_array(TEXT) | {"description": "flows that count for its overlap, five at most"},
        byCode=_YES_OR_NO | {"description": "a module has written it"},
        upcoming=_array(_object(at=_TIME, local=_TIME)) | {"description": "its next five times, in UTC and on its own clock"},
    ),
    "ScheduleList": _list_of("Schedule"),
    "ScheduleDone": _object(schedule=TEXT),
    "Fired": _object(schedule=TEXT, flowId=TEXT),
    "Backfilled": _with_some(
        _object(
            schedule=TEXT,
            times=_array(TEXT) | {"description": "its times in the range that had no flow yet"},
            made=_WHOLE | {"description": "how many flows were made"},
            there=_WHOLE | {"description": "how many of its times in the range had one"},
        ),
        dryRun=_IF_PLANNED,
    ),
    "Alive": _object(status={"const": "ok"}),
    "Ready": _object(status={"enum": ["ready", "not ready"]}, checks=ref("Checks")),
    "Checks": _object(database=TEXT, schema=TEXT, dispatcher=TEXT, listener=TEXT, pauses=TEXT | {"description": "none, or how much is paused"}),
}

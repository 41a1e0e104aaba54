"""GET /openapi.json: describes this interface as it is, from the routes that are there and the models that read their input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from aiohttp import web
from pydantic import BaseModel

from flower.core.model import Json
from flower.core.status import Gate, Status, Why
from flower.web.answers import answer
from flower.web.api.flows import FlowsQuery, LogsQuery
from flower.web.api.register import LONGEST_KEY, LONGEST_WORKFLOW, Registration
from flower.web.api.verbs import HandedIn, Rerun, Said, Skipping
from flower.web.api.workflows import Written
from flower.web.auth import OPEN
from flower.web.problems import REGISTER
from flower.web.requests import NoQuery, query

routes = web.RouteTableDef()

_TEXT, _WHOLE, _YES_OR_NO, _ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"description": "any JSON"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_NUMBER = {"type": ["number", "string"], "description": "a number; text for NaN and what a double cannot hold"}
_STATUS = {"type": "string", "description": f"{', '.join(status.word for status in Status)}; or the number that a hand wrote instead"}
_OUTCOME = {"type": ["string", "null"], "description": f"{', '.join(Why)}, or null"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _with_some(schema: Json, **optional: Json) -> Json:
    return {**schema, "properties": schema["properties"] | optional}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _list_of(name: str) -> Json:
    return _object(items=_array(_ref(name)), next=_TEXT_OR_NULL | {"description": "what to send as `after` for the next part"})


_NAMES, _IF_PLANNED = _array(_TEXT), {"const": True, "description": "where this is only the plan"}
_ERRORS = _array(_object(path=_TEXT, message=_TEXT))
_FLOW = {
    "flowId": _TEXT,
    "workflow": _TEXT,
    "status": _STATUS,
    "stalled": _YES_OR_NO,
    "priority": _NUMBER,
    "registeredAt": _TIME,
    "finishedAt": _TIME,
    "counts": {"type": "object", "additionalProperties": _WHOLE, "description": "how many tasks by status"},
    "suspended": {"anyOf": [_object(at=_TIME, reason=_TEXT_OR_NULL), {"type": "null"}], "description": "by a person: nothing new of it starts"},
    "revision": {"type": ["integer", "null"], "description": "of the workflow, when the flow was registered; null: a hand wrote its rows"},
}

_TASK = {
    "flowId": _TEXT,
    "seq": _NUMBER,
    "stepSeq": _NUMBER,
    "workflow": _TEXT,
    "name": _TEXT,
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
    "Registered": {
        **_object(status={"const": "succeeded"}, taskId=_TEXT, taskFlowId=_TEXT, duplicate={"const": True}),
        "required": ["status", "taskId", "taskFlowId"],
    },
    "Failed": _object(status={"const": "failed"}, taskId=_TEXT, description=_TEXT, errors=_ERRORS),
    "Problem": _object(type=_TEXT, title=_TEXT, status=_WHOLE, detail=_TEXT, errors=_ERRORS),
    "Flow": _object(**_FLOW, failing={"anyOf": [_object(name=_TEXT), {"type": "null"}]}),
    "FlowWithTasks": _object(**_FLOW, failing={"anyOf": [_ref("Failing"), {"type": "null"}]}, tasks=_array(_ref("Task"))),
    "Task": _object(**_TASK),
    "Failing": _object(
        **_TASK,
        said=_array(_ref("LogLine")) | {"description": "the last lines"},
        commands={"type": "object", "additionalProperties": _TEXT, "description": "what a person may type, by the verb"},
    ),
    "Waiting": _object(seq=_NUMBER, name=_TEXT, gate={"enum": [*(gate.value for gate in Gate), None]}, reason=_TEXT, reasons=_array(_TEXT)),
    "Workflow": _object(
        workflow=_TEXT, revision=_WHOLE, parameters=_ANYTHING, result=_ANYTHING, timeout={"type": ["number", "null"]}, steps=_array(_ref("Step"))
    ),
    "Step": _object(
        seq=_NUMBER,
        name=_TEXT,
        program=_TEXT,
        priority=_NUMBER,
        dependsOn={"type": ["array", "null"], "items": _NUMBER},
        parameters=_ANYTHING,
        limits={"type": ["array", "null"], "items": _TEXT},
        known=_YES_OR_NO | {"description": "a live worker has this program"},
        place=_TEXT_OR_NULL | {"description": "file and line of the call, if Python wrote it"},
    ),
    "Done": _object(flowId=_TEXT),
    "DoneToTask": _object(flowId=_TEXT, seq=_NUMBER, name=_TEXT),
    "Cancelled": _object(flowId=_TEXT, cancelled=_array(_NUMBER) | {"description": "the seqs that are ignored now"}, resumed=_YES_OR_NO),
    "Ignored": _with_some(
        _object(
            flowId=_TEXT,
            seq=_NUMBER,
            name=_TEXT,
            runs=_NAMES | {"description": "what runs in turn"},
            ignored=_NAMES | {"description": "what is ignored in turn, for want of data"},
        ),
        dryRun=_IF_PLANNED,
    ),
    "RunsAgain": _with_some(
        _object(
            flowId=_TEXT,
            version=_TEXT | {"description": "of the flow before it: what to send as `ifUnchanged`"},
            run=_array(_object(seq=_NUMBER, name=_TEXT, was=_TEXT | {"description": "its status and outcome, or new"})),
            reused=_array(_object(seq=_NUMBER, name=_TEXT, finishedAt=_TIME, ageSeconds=_NUMBER)),
            changed=_NAMES | {"description": "whose definition has changed since"},
            gone=_NAMES | {"description": "what the latest definition has no longer"},
        ),
        seq=_NUMBER | {"description": "of the task in `from` or `only`"},
        suspended={"const": True, "description": "where nothing starts before the flow is resumed"},
        running=_NAMES | {"description": "what runs at this moment, and is taken away"},
        dryRun=_IF_PLANNED,
    ),
    "Incident": _object(
        id=_TEXT,
        program=_TEXT_OR_NULL,
        type=_TEXT_OR_NULL,
        message=_TEXT_OR_NULL,
        where=_TEXT_OR_NULL,
        flows=_WHOLE,
        tasks=_WHOLE,
        since=_TIME,
        latest=_TIME,
        flowId=_TEXT | {"description": "one of the flows"},
        seq=_NUMBER,
    ),
    "IncidentList": _list_of("Incident"),
    "Deed": _object(at=_TIME, verb=_TEXT, seq=_NUMBER | {"type": ["number", "string", "null"]}, who=_TEXT_OR_NULL, role=_TEXT, reason=_TEXT_OR_NULL),
    "DeedList": _list_of("Deed"),
    "LogLine": _object(id=_TEXT, seq=_NUMBER, attempt=_WHOLE, at=_TIME, level=_TEXT, source=_TEXT, message=_TEXT),
    "LogLineList": _list_of("LogLine"),
    "FlowList": _list_of("Flow"),
    "WaitingList": _list_of("Waiting"),
    "WorkflowList": _list_of("Workflow"),
    "Alive": _object(status={"const": "ok"}),
    "Ready": _object(status={"enum": ["ready", "not ready"]}, checks=_object(database=_TEXT, schema=_TEXT, dispatcher=_TEXT)),
    "WhereToLook": _object(name=_TEXT, description=_TEXT, entryPoints={"type": "object", "additionalProperties": _TEXT}),
}

# What a route answers when all is well, by its path.
ANSWERS = {
    REGISTER: "Registered",
    REGISTER + "/{task_id}": "Registered",
    "/api/flows": "FlowList",
    "/api/flows/{flowId}": "FlowWithTasks",
    "/api/flows/{flowId}/tasks/{step}": "Task",
    "/api/flows/{flowId}/why": "WaitingList",
    "/api/flows/{flowId}/logs": "LogLineList",
    "/api/flows/{flowId}/audit": "DeedList",
    "/api/flows/{flowId}/tasks/{step}/logs": "LogLineList",
    "/api/flows/{flowId}/rerun": "RunsAgain",
    "/api/flows/{flowId}/cancel": "Cancelled",
    **{f"/api/flows/{{flowId}}/{verb}": "Done" for verb in ("suspend", "resume")},
    "/api/flows/{flowId}/tasks/{step}/ignore": "Ignored",
    **{f"/api/flows/{{flowId}}/tasks/{{step}}/{verb}": "DoneToTask" for verb in ("complete", "retry")},
    "/api/incidents": "IncidentList",
    "/api/workflows": "WorkflowList",
    "/api/workflows/{workflow}": "Workflow",
    "/healthz": "Alive",
    "/readyz": "Ready",
    "/": "WhereToLook",
}

# What GET takes in its query.
QUERIES: dict[str, type[BaseModel]] = {
    "/api/flows": FlowsQuery,
    "/api/flows/{flowId}/logs": LogsQuery,
    "/api/flows/{flowId}/tasks/{step}/logs": LogsQuery,
}

# What POST takes in its body.
BODIES: dict[str, type[BaseModel]] = {
    REGISTER + "/{task_id}": Registration,
    "/api/flows/{flowId}/rerun": Rerun,
    **{f"/api/flows/{{flowId}}/{verb}": Said for verb in ("cancel", "suspend", "resume")},
    "/api/flows/{flowId}/tasks/{step}/ignore": Skipping,
    "/api/flows/{flowId}/tasks/{step}/complete": HandedIn,
    "/api/flows/{flowId}/tasks/{step}/retry": Said,
}

_PATH_WORDS = {
    "task_id": f"the workflow's id, at most {LONGEST_WORKFLOW} characters; slashes may stand as they are; one at the end is cut",
    "flowId": "the whole id of a flow",
    "step": "a task's seq, or its name",
    "workflow": "the workflow's id; slashes may stand as they are",
}


@routes.get("/openapi.json")
async def openapi(request: web.Request) -> web.Response:
    """Describe this interface as OpenAPI 3.1."""
    query(request, NoQuery)
    return answer(describe(request.app))


def describe(app: web.Application) -> Json:
    """Return the OpenAPI document of all routes of *app*."""
    paths: dict[str, Json] = {}
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else "*"
        # A GET answers HEAD as well, which needs no words of its own.
        if route.method != "HEAD":
            paths.setdefault(path, {})[route.method.lower()] = _operation(path, route)
    written = Written.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = SCHEMAS | {model.__name__: _schema(model) for model in BODIES.values()} | {**written.pop("$defs"), "Written": written}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Flower", "version": "1", "description": "A workflow engine that lives in PostgreSQL."},
        # Without a token, who reaches this machine under its own name may ask.
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(path: str, route: web.AbstractRoute) -> Json:
    is_register = path.startswith(REGISTER)
    content = _content(ANSWERS[path]) if path in ANSWERS and route.method != "DELETE" else {"application/json": {"schema": {"type": "object"}}}
    error = {"description": "what is wrong", "content": _content("Failed") if is_register else _content("Problem", "application/problem+json")}
    operation: dict[str, Json] = {
        "operationId": route.handler.__name__,
        "summary": (route.handler.__doc__ or "").partition("\n")[0],
        "parameters": list(_parameters(path)),
        "responses": {"200": {"description": "as asked", "content": content}, "default": error},
    }
    if path in BODIES:
        operation["requestBody"] = {"required": False, "content": _content(BODIES[path].__name__)}
    if route.method == "PUT":
        operation["requestBody"] = {"required": True, "content": _content("Written")}
    if path == "/readyz":
        operation["responses"]["503"] = {"description": "not ready", "content": content}
    if path in OPEN:
        operation["security"] = []
    return operation


def _parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "description": _PATH_WORDS[name], "schema": _TEXT}
    if path in QUERIES:
        for name, schema in _schema(QUERIES[path])["properties"].items():
            yield {"name": name, "in": "query", "schema": schema}
    if path == REGISTER + "/{task_id}":
        yield {"name": "Idempotency-Key", "in": "header", "schema": _TEXT | {"minLength": 1}, "description": f"at most {LONGEST_KEY} bytes"}


def _content(name: str, content_type: str = "application/json") -> Json:
    return {content_type: {"schema": _ref(name)}}


@cache
def _schema(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema()
    for field in schema["properties"].values():
        # pydantic says null for whatever may be left out; none of ours takes it.
        field.update(next((choice for choice in field.pop("anyOf", ()) if choice != {"type": "null"}), {}))
        if field.get("default", ...) is None:
            del field["default"]
    return schema

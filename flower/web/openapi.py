"""GET /openapi.json: describes this interface as it is, from the routes that are there and the models that read their input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from aiohttp import web
from pydantic import BaseModel

from flower.core.model import Json
from flower.web import pages, static_files
from flower.web.answers import answer
from flower.web.api.events import EVENTS, EventsQuery
from flower.web.api.flows import FlowsQuery, LogsQuery
from flower.web.api.history import DifferenceQuery, HistoriesQuery, RevisionsQuery
from flower.web.api.limits import SetLimit
from flower.web.api.pauses import PausesQuery, Pausing, Unpausing
from flower.web.api.register import LONGEST_KEY, LONGEST_WORKFLOW, MOST_ORDERS, ListedOrder, Registration
from flower.web.api.schedules import Backfill, Firing, Scheduled, SchedulesQuery
from flower.web.api.signals import Sending
from flower.web.api.verbs import HandedIn, Rerun, Said, Skipping, Urgency
from flower.web.api.workflows import Written
from flower.web.auth import OPEN
from flower.web.problems import REGISTER
from flower.web.requests import NoQuery, query
from flower.web.schemas import SCHEMAS, TEXT, ref

routes = web.RouteTableDef()

# What a route answers when all is well, by its path.
ANSWERS = {
    REGISTER: "RegisteredList",
    REGISTER + "/{task_id}": "Registered",
    "/api/flows": "FlowList",
    "/api/flows/{flowId}": "FlowWithTasks",
    "/api/flows/{flowId}/tasks/{step}": "Task",
    "/api/flows/{flowId}/tasks/{step}/attempts": "AttemptList",
    "/api/flows/{flowId}/why": "WaitingList",
    "/api/flows/{flowId}/logs": "LogLineList",
    "/api/flows/{flowId}/audit": "DeedList",
    "/api/flows/{flowId}/tasks/{step}/logs": "LogLineList",
    "/api/flows/{flowId}/rerun": "RunsAgain",
    "/api/flows/{flowId}/cancel": "Cancelled",
    **{f"/api/flows/{{flowId}}/{verb}": "Done" for verb in ("suspend", "resume")},
    "/api/flows/{flowId}/priority": "Done",
    "/api/flows/{flowId}/tasks/{step}/ignore": "Ignored",
    **{f"/api/flows/{{flowId}}/tasks/{{step}}/{verb}": "DoneToTask" for verb in ("complete", "retry")},
    "/api/signals/{name}": "Sent",
    "/api/incidents": "IncidentList",
    "/api/limits": "LimitList",
    "/api/limits/{name}": "Limit",
    "/api/schedules": "ScheduleList",
    "/api/schedules/{name}": "Schedule",
    "/api/schedules/{name}/fire": "Fired",
    **{f"/api/schedules/{{name}}/{verb}": "ScheduleDone" for verb in ("pause", "unpause")},
    "/api/schedules/{name}/backfill": "Backfilled",
    "/api/pauses": "PauseList",
    "/api/pause": "Paused",
    "/api/unpause": "Unpaused",
    "/api/workflows": "WorkflowList",
    "/api/workflows/{workflow}": "Workflow",
    "/api/history": "HistoryList",
    "/api/history/{workflow}": "History",
    "/api/revisions/{workflow}": "RevisionList",
    "/api/differences/{workflow}": "Difference",
    "/api/overview": "Overview",
    "/api/workers": "WorkerList",
    "/healthz": "Alive",
    "/readyz": "Ready",
}

# What GET takes in its query.
QUERIES: dict[str, type[BaseModel]] = {
    EVENTS: EventsQuery,
    "/api/flows": FlowsQuery,
    "/api/flows/{flowId}/logs": LogsQuery,
    "/api/flows/{flowId}/tasks/{step}/logs": LogsQuery,
    "/api/history": HistoriesQuery,
    "/api/pauses": PausesQuery,
    "/api/revisions/{workflow}": RevisionsQuery,
    "/api/schedules": SchedulesQuery,
    "/api/differences/{workflow}": DifferenceQuery,
}

# What POST, or where there is none PUT, takes in its body.
BODIES: dict[str, type[BaseModel]] = {
    REGISTER + "/{task_id}": Registration,
    "/api/flows/{flowId}/rerun": Rerun,
    **{f"/api/flows/{{flowId}}/{verb}": Said for verb in ("cancel", "suspend", "resume")},
    "/api/flows/{flowId}/priority": Urgency,
    "/api/flows/{flowId}/tasks/{step}/ignore": Skipping,
    "/api/flows/{flowId}/tasks/{step}/complete": HandedIn,
    "/api/flows/{flowId}/tasks/{step}/retry": Said,
    "/api/limits/{name}": SetLimit,
    "/api/schedules/{name}": Scheduled,
    "/api/schedules/{name}/fire": Firing,
    **{f"/api/schedules/{{name}}/{verb}": Said for verb in ("pause", "unpause")},
    "/api/schedules/{name}/backfill": Backfill,
    "/api/pause": Pausing,
    "/api/unpause": Unpausing,
    "/api/signals/{name}": Sending,
}

_PATH_WORDS = {
    "task_id": f"the workflow's id, at most {LONGEST_WORKFLOW} characters; slashes may stand as they are; one at the end is cut",
    "flowId": "the whole id of a flow",
    "step": "a task's seq, or its name",
    "workflow": "the workflow's id; slashes may stand as they are",
    "name": "the name of a limit (or a pattern, as tenant:*) or a signal, where slashes may stand as they are; or of a schedule, where not",
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
        # A GET answers HEAD as well, which needs no words of its own; pages, and what they are made of, are for people.
        if route.method != "HEAD" and not route.handler.__module__.startswith((pages.__name__, static_files.__name__)):
            paths.setdefault(path, {})[route.method.lower()] = _operation(path, route)
    written = Written.model_json_schema(ref_template="#/components/schemas/{model}")
    models: list[type[BaseModel]] = [*BODIES.values(), ListedOrder]
    bodies = {model.__name__: dict(_schema(model)) for model in models}
    parts = {name: part for body in bodies.values() for name, part in body.pop("$defs", {}).items()}
    schemas = SCHEMAS | parts | bodies | {**written.pop("$defs"), "Written": written}
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
    if path == EVENTS:
        content = {"text/event-stream": {"schema": TEXT}}
    error = {"description": "what is wrong", "content": _content("Failed") if is_register else _content("Problem", "application/problem+json")}
    operation: dict[str, Json] = {
        "operationId": route.handler.__name__,
        "summary": (route.handler.__doc__ or "").partition("\n")[0],
        "parameters": list(_parameters(path)),
        "responses": {"200": {"description": "as asked", "content": content}, "default": error},
    }
    if path in BODIES and route.method in {"POST", "PUT"}:
        operation["requestBody"] = {"required": route.method == "PUT", "content": _content(BODIES[path].__name__)}
    elif path == REGISTER:
        orders = {"type": "array", "items": ref(ListedOrder.__name__), "minItems": 1, "maxItems": MOST_ORDERS}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": orders}}}
    elif route.method == "PUT":
        operation["requestBody"] = {"required": True, "content": _content("Written")}
    if path == "/readyz":
        operation["responses"]["503"] = {"description": "not ready", "content": content}
    if path in OPEN:
        operation["security"] = []
    return operation


def _parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "description": _PATH_WORDS[name], "schema": TEXT}
    if path in QUERIES:
        for name, schema in _schema(QUERIES[path])["properties"].items():
            yield {"name": name, "in": "query", "schema": schema}
    if path == REGISTER + "/{task_id}":
        yield {"name": "Idempotency-Key", "in": "header", "schema": TEXT | {"minLength": 1}, "description": f"at most {LONGEST_KEY} bytes"}


def _content(name: str, content_type: str = "application/json") -> Json:
    return {content_type: {"schema": ref(name)}}


@cache
def _schema(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for field in schema["properties"].values():
        # pydantic says null for whatever may be left out; none of ours takes it.
        field.update(next((choice for choice in field.pop("anyOf", ()) if choice != {"type": "null"}), {}))
        if field.get("default", ...) is None:
            del field["default"]
    return schema

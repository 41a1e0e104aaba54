"""POST /register/{task_id}: starts a workflow. The form of its answers is older than the rest: the ancestor's, with more in it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from flower.core import shapes
from flower.core.errors import FieldError, Invalid, UnknownWorkflow
from flower.core.model import Json, Order
from flower.core.strict import is_clean
from flower.web.answers import answer
from flower.web.keys import REGISTRAR
from flower.web.problems import REGISTER
from flower.web.requests import NoQuery, body, moment, query, tail, valid

LONGEST_WORKFLOW = 256
LARGEST_PARAMETERS = 256 * 1024
LONGEST_KEY = 512

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

routes = web.RouteTableDef()


class Registration(BaseModel):
    """The body of `POST /register/{task_id}`. Every field may be left out; none may be null."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    parameters: dict[str, Any] = Field(default={}, description="what the steps are given; replaces what the definition says under the same name")
    priority: int | None = Field(default=None, ge=-20, le=19, description="lower is more urgent")
    run_at: str | None = Field(default=None, description="not before this time: ISO 8601 with its zone", json_schema_extra={"format": "date-time"})
    idempotency_key: str | None = Field(default=None, min_length=1, description="the same key and body start one flow, however often they are sent")

    @field_validator("*", mode="before")
    @classmethod
    def _no_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("null is not taken; leave the field out")
        return value

    @field_validator("parameters")
    @classmethod
    def _not_too_large(cls, value: dict[str, Json]) -> dict[str, Json]:
        size = len(_encode(value).encode()) if value else 0
        if size > LARGEST_PARAMETERS:
            raise ValueError(f"{size} bytes of JSON, more than {LARGEST_PARAMETERS} (256 KiB): store what is large elsewhere, pass a key or a path")
        return value

    @field_validator("run_at")
    @classmethod
    def _one_moment(cls, value: str) -> str:
        # The same moment in two zones is the same order.
        return moment(value).isoformat().replace("+00:00", "Z")

    @field_validator("idempotency_key")
    @classmethod
    def _fits_an_index(cls, value: str) -> str:
        if not is_clean(value):
            raise ValueError("not UTF-8, or a NUL character in it")
        if len(value.encode()) > LONGEST_KEY:
            raise ValueError(f"{len(value.encode())} bytes, and at most {LONGEST_KEY} are taken")
        return value

    def order(self, workflow: str) -> Order:
        """Return what the store is asked for: only the options that were given."""
        options = {"priority": self.priority, "runAt": self.run_at, "idempotencyKey": self.idempotency_key}
        return Order(workflow, self.parameters, {name: value for name, value in options.items() if value is not None})


_NOTHING_SAID = Registration()


@routes.post(REGISTER)
async def register_nothing(_request: web.Request) -> web.Response:
    """Refuse: no workflow is named."""
    raise UnknownWorkflow("")


@routes.post(REGISTER + r"/{task_id:[\s\S]*}")
async def register(request: web.Request) -> web.Response:
    """Start the workflow once, in one committed transaction, and answer its flow's id."""
    task_id = _task_id(request)
    query(request, NoQuery)
    order = (await _registration(request)).order(task_id)
    return answer(shapes.registered(task_id, await request.app[REGISTRAR].register(order)))


def _task_id(request: web.Request) -> str:
    task_id = tail(request, REGISTER + "/")
    if not task_id:
        raise UnknownWorkflow(task_id)
    if len(task_id) > LONGEST_WORKFLOW:
        raise Invalid([FieldError("taskId", f"{len(task_id)} characters, and no workflow has more than {LONGEST_WORKFLOW}")])
    return task_id


async def _registration(request: web.Request) -> Registration:
    sent = await body(request)
    keys = request.headers.getall("Idempotency-Key", [])
    if sent is None and not keys:
        return _NOTHING_SAID
    given = sent or {}
    if keys and any(key != given.setdefault("idempotencyKey", keys[0]) for key in keys):
        raise Invalid([FieldError("idempotencyKey", "the header Idempotency-Key says another key than the body, or comes twice")])
    return valid(Registration, given)

"""POST /register/{task_id} and POST /register: start workflows. The form of the answers is older than the rest: the ancestor's, with more in it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from flower.core import shapes
from flower.core.errors import FieldError, Invalid, OrdersRefused, UnknownWorkflow
from flower.core.model import Json, Order, UniquePolicy
from flower.core.strict import is_clean
from flower.database.store.flows import Flows
from flower.web.answers import answer
from flower.web.keys import REGISTRAR, STORE
from flower.web.problems import REGISTER
from flower.web.requests import NoQuery, body, json_body, moment, query, tail, valid, with_key

LONGEST_WORKFLOW = 256
LARGEST_PARAMETERS = 256 * 1024
LONGEST_KEY = 512
MOST_ORDERS = 1_000

_LIST = 'a JSON list of 1 to 1,000 orders, like [{"taskId": "example", "parameters": {"name": "value"}}]'

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

routes = web.RouteTableDef()


def _short(value: str) -> str:
    if not is_clean(value):
        raise ValueError("not UTF-8, or a NUL character in it")
    if len(value.encode()) > LONGEST_KEY:
        raise ValueError(f"{len(value.encode())} bytes, and at most {LONGEST_KEY} are taken")
    return value


class Unique(BaseModel):
    """One flow of this key at a time: while one is in progress or waits for its turn, another is skipped, or queues."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: str = Field(min_length=1, description=f"at most {LONGEST_KEY} bytes; of this workflow")
    policy: UniquePolicy = Field(
        default="skip", description="skip: nothing is started, the answer names the one in progress; queue: one after the other"
    )

    @field_validator("key")
    @classmethod
    def _fits_an_index(cls, value: str) -> str:
        return _short(value)


class Registration(BaseModel):
    """The body of `POST /register/{task_id}`. Every field may be left out; none may be null."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    parameters: dict[str, Any] = Field(default={}, description="what the steps are given; replaces what the definition says under the same name")
    priority: int | None = Field(default=None, ge=-20, le=19, description="lower is more urgent")
    run_at: str | None = Field(default=None, description="not before this time: ISO 8601 with its zone", json_schema_extra={"format": "date-time"})
    idempotency_key: str | None = Field(default=None, min_length=1, description="the same key and body start one flow, however often they are sent")
    unique: Unique | None = Field(default=None, description="one flow at a time")

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
        return _short(value)

    def order(self, workflow: str) -> Order:
        """Return what the store is asked for: only the options that were given."""
        options = {
            "priority": self.priority,
            "runAt": self.run_at,
            "idempotencyKey": self.idempotency_key,
            "unique": self.unique and self.unique.model_dump(),
        }
        return Order(workflow, self.parameters, {name: value for name, value in options.items() if value is not None})


class ListedOrder(Registration):
    """One of the list that `POST /register` takes: a registration, and of which workflow."""

    task_id: str = Field(min_length=1, max_length=LONGEST_WORKFLOW, description="the workflow's id")

    @field_validator("task_id")
    @classmethod
    def _can_be_kept(cls, value: str) -> str:
        if not is_clean(value):
            raise ValueError("not UTF-8, or a NUL character in it")
        return value


_NOTHING_SAID = Registration()


@routes.post(REGISTER)
async def register_list(request: web.Request) -> web.Response:
    """Start every flow of a list, in one committed transaction, or none; answer their ids."""
    query(request, NoQuery)
    sent = await json_body(request)
    if sent is None:
        raise UnknownWorkflow("")
    if not isinstance(sent, list) or not 1 <= len(sent) <= MOST_ORDERS:
        what = f"it has {len(sent):,}" if isinstance(sent, list) else "this is none"
        raise Invalid([FieldError("", f"the body must be {_LIST}: {what}")])
    if "Idempotency-Key" in request.headers:
        raise Invalid([FieldError("idempotencyKey", "the header Idempotency-Key cannot be for a list: each of its orders has an idempotencyKey")])
    orders, wrong = _orders(sent)
    flows = request.app[STORE].flows
    if wrong:
        await _look_at_the_others(flows, orders, wrong, len(sent))
    listed = [orders[place] for place in range(len(sent))]
    return answer(shapes.registered_list(listed, await flows.register_list(listed)))


@routes.post(REGISTER + r"/{task_id:[\s\S]*}")
async def register(request: web.Request) -> web.Response:
    """Start the workflow once, in one committed transaction, and answer its flow's id."""
    task_id = _task_id(request)
    query(request, NoQuery)
    order = (await _registration(request)).order(task_id)
    return answer(shapes.registered(task_id, await request.app[REGISTRAR].register(order)))


def _orders(sent: list[Json]) -> tuple[dict[int, Order], list[FieldError]]:
    """Return the orders whose form is right, by their place, and what is wrong with the others."""
    orders, wrong = dict[int, Order](), list[FieldError]()
    for place, item in enumerate(sent):
        try:
            found = valid(ListedOrder, item) if isinstance(item, dict) else None
        except Invalid as error:
            wrong += [FieldError(f"[{place}].{problem.path}", problem.message) for problem in error.errors]
        else:
            if found is None:
                wrong.append(FieldError(f"[{place}]", 'must be an object, like {"taskId": "example"}'))
            else:
                orders[place] = found.order(found.task_id)
    return orders, wrong


async def _look_at_the_others(flows: Flows, orders: dict[int, Order], wrong: list[FieldError], count: int) -> NoReturn:
    """Raise OrdersRefused for what is *wrong* with the form of some, and for what the database would refuse of the others."""
    try:
        await flows.register_list(list(orders.values()), list(orders), only_check=True)
    except OrdersRefused as error:
        wrong = sorted([*wrong, *error.errors], key=lambda item: int(item.path[1:].partition("]")[0]))
    raise OrdersRefused(wrong, count)


def _task_id(request: web.Request) -> str:
    task_id = tail(request, REGISTER + "/")
    if not task_id:
        raise UnknownWorkflow(task_id)
    if len(task_id) > LONGEST_WORKFLOW:
        raise Invalid([FieldError("taskId", f"{len(task_id)} characters, and no workflow has more than {LONGEST_WORKFLOW}")])
    return task_id


async def _registration(request: web.Request) -> Registration:
    sent = await body(request)
    given = with_key(request, sent or {})
    return valid(Registration, given) if given else _NOTHING_SAID

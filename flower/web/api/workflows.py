"""/api/workflows: what can be started, and of which steps it is made."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flower.core import shapes
from flower.core.definition import LONGEST_NAME, DefinedStep, Definition
from flower.core.errors import FieldError, Invalid
from flower.core.masks import HIDDEN, is_masked
from flower.core.model import Json
from flower.sdk.retry import Policy
from flower.web.answers import answer
from flower.web.keys import STORE
from flower.web.requests import NoQuery, body, query, tail, valid

_PREFIX = "/api/workflows/"
# What an integer of PostgreSQL holds.
_HIGHEST = 2**31 - 1
_ONE = r"/api/workflows/{workflow:[\s\S]+}"

routes = web.RouteTableDef()


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


_OPTIONS = {"attempts", "backoff", "retry_on", "give_up_on", "timeout", "on_lost"}
_Seq = Annotated[float, AfterValidator(_finite)]
_Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class WrittenStep(BaseModel):
    """One step in the body of `PUT /api/workflows/{workflow}`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    seq: _Seq = Field(description="its number; the order of those that depend on nothing else")
    program: _Name = Field(description="the task that it calls")
    name: _Name | None = Field(default=None, description="without one it is called like its program")
    depends_on: list[_Seq] | None = Field(default=None, description="the seqs that it comes after; without it the step before, [] at once")
    parameters: dict[str, Any] | None = Field(default=None, description="what it is called with; may hold references")
    priority: int = Field(default=0, ge=-20, le=19, description="lower is more urgent")
    limits: list[str] | None = Field(default=None, description="the limits that it counts for")
    attempts: int | None = Field(default=None, ge=1, le=1_000_000, description="how often it is tried, in place of what the function says")
    backoff: float | dict[str, float] | None = Field(default=None, description="seconds before the second attempt, or first, factor, longest, jitter")
    retry_on: list[str] | None = Field(default=None, description="the exceptions, by name, that are worth another attempt")
    give_up_on: list[str] | None = Field(default=None, description="those that are not")
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="how many seconds one attempt may take")
    on_lost: Literal["retry", "suspend"] | None = Field(default=None, description="what happens if its worker is lost")
    known: bool | None = Field(default=None, description="said by GET, not read")
    place: str | None = Field(default=None, description="file and line of the call")

    def step(self) -> DefinedStep:
        """Return it as everybody else knows it."""
        parents = None if self.depends_on is None else tuple(map(_decimal, self.depends_on))
        limits = None if self.limits is None else tuple(self.limits)
        options = self.model_dump(by_alias=True, exclude_none=True, include=_OPTIONS)
        try:
            Policy().overridden(options)
        except (TypeError, ValueError) as error:
            raise Invalid([FieldError(f"steps[{_decimal(self.seq)}]", str(error))]) from None
        return DefinedStep(
            _decimal(self.seq), self.name, self.program, parents, self.parameters or {}, self.place, self.priority, limits, options or None
        )


class Taken(BaseModel):
    """One parameter of a flow. Without a default it is required."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.removesuffix("_"))

    schema_: dict[str, Any] = Field(default={}, description="a JSON schema of what it may be")
    default: Any = None


class Written(BaseModel):
    """The body of `PUT /api/workflows/{workflow}`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    steps: list[WrittenStep] = Field(min_length=1)
    parameters: dict[str, Taken] | None = Field(default=None, description='what a flow takes, {"name": {"schema": …, "default": …}}')
    result: Any = Field(default=None, description="what a flow results in; may hold references to steps")
    timeout: float | None = Field(
        default=None, gt=0, le=1e9, allow_inf_nan=False, description="how many seconds a flow may take; what is left then is cancelled"
    )
    max_flows: int | None = Field(
        default=None, ge=0, le=_HIGHEST, alias="maxFlows", description="how many of its flows may be in progress at once; 0: none may begin"
    )
    workflow: str | None = Field(default=None, description="said by GET, not read")
    revision: int | None = Field(default=None, description="said by GET, not read")
    paused: Any = Field(default=None, description="said by GET, not read")


@routes.get("/api/workflows")
async def workflows(request: web.Request) -> web.Response:
    """List every workflow, in order of name."""
    query(request, NoQuery)
    found = await request.app[STORE].workflows.list()
    return answer(shapes.whole([shapes.workflow(item) for item in found]))


@routes.get(_ONE)
async def workflow(request: web.Request) -> web.Response:
    """Show one workflow."""
    query(request, NoQuery)
    return answer(shapes.workflow(await request.app[STORE].workflows.get(tail(request, _PREFIX))))


@routes.put(_ONE)
async def define(request: web.Request) -> web.Response:
    """Write one workflow as a whole, new or in place of what is there, and answer it. Flows that exist stay as they are."""
    query(request, NoQuery)
    name, store = tail(request, _PREFIX), request.app[STORE].workflows
    if len(name) > LONGEST_NAME:
        raise Invalid([FieldError("workflow", f"{len(name)} characters, and no workflow has more than {LONGEST_NAME}")])
    written = valid(Written, await body(request) or {})
    twice = [seq for seq, count in Counter(item.seq for item in written.steps).items() if count > 1]
    if twice:
        raise Invalid([FieldError("steps", f"two steps have the seq {_decimal(twice[0])}")])
    hidden = [number for number, item in enumerate(written.steps) if is_masked(item.parameters)]
    places = [f"steps[{number}].parameters" for number in hidden]
    places += [f"parameters.{name}.default" for name, item in (written.parameters or {}).items() if is_masked({name: item.default})]
    if places:
        told = f'"{HIDDEN}" stands for a secret that was hidden when it was shown: send the value, or {{"$env": "NAME"}}'
        raise Invalid([FieldError(place, told) for place in places])
    definition = Definition(name, tuple(item.step() for item in written.steps), _takes(written), written.result, written.timeout, written.max_flows)
    await store.define(definition, origin="http", code=False)
    return answer(shapes.workflow(await store.get(name)))


@routes.delete(_ONE)
async def undefine(request: web.Request) -> web.Response:
    """Remove one workflow. Flows that exist stay and run on."""
    query(request, NoQuery)
    name = tail(request, _PREFIX)
    await request.app[STORE].workflows.remove(name)
    return answer({"workflow": name, "removed": True})


def _takes(written: Written) -> Json:
    taken = written.parameters
    return None if taken is None else {name: item.model_dump(by_alias=True, exclude_unset=True) for name, item in taken.items()}


def _decimal(value: float) -> Decimal:
    return Decimal(int(value)) if value == int(value) else Decimal(str(value))

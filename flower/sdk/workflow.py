"""`@workflow`: a function whose body builds steps. Knows nothing of the database that they are written to."""

from __future__ import annotations

import copy
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, cast, get_args, overload

from flower.core.definition import Definition
from flower.core.errors import FieldError, Invalid, NotInWorkflow, TraceError
from flower.core.model import Json, Order, UniquePolicy
from flower.core.model import Registered as Made
from flower.core.references import Reference, references
from flower.core.schedule import Timetable
from flower.sdk import hints
from flower.sdk.flow import Flow, starter, wishes
from flower.sdk.handle import REFUSED, Handle, place
from flower.sdk.parameters import Parameters
from flower.sdk.registry import REGISTRY, Registered
from flower.sdk.results import converter
from flower.sdk.task import code_place, local_types, proper_name, refuse
from flower.sdk.trace import Trace, current_trace, plain_json
from flower.sdk.values import Unwritable

# What the database holds as an interval from now.
_LONGEST_SECONDS = 1e9
_MOST_FLOWS = 2**31 - 1

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Registered, Generic[P, R]):
    """A graph of steps, built by a function. Made by `workflow`, never by hand.

    *fn* is the function itself, *name* what stands in the column `task_id`, *place* `file:line` of the function.
    *schedule*: when it starts by the clock.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        name: str,
        place: str,
        local: dict[str, Any],
        timeout: float | None = None,
        max_flows: int | None = None,
        schedule: Timetable | None = None,
    ) -> None:
        self.fn, self.name, self.place, self.timeout, self.max_flows, self.schedule = fn, name, place, timeout, max_flows, schedule
        self.signature = _signature(fn, name, place)
        self._local, self._connection = local, None
        self._wishes: dict[str, Json] = {}
        self.__doc__ = inspect.getdoc(fn)
        self.__module__ = getattr(fn, "__module__", type(self).__module__)

    def __call__(self, *_args: P.args, **_kwargs: P.kwargs) -> R:
        """Raise: a workflow inside a workflow comes later, and outside of one there is nothing that it could return at once."""
        if current_trace() is not None:
            raise TraceError(place(), f"{self.name}(…) would be a workflow inside a workflow, which Flower does not have yet: call its tasks instead")
        raise NotInWorkflow(self.name, f"await {getattr(self.fn, '__name__', self.name)}.run(…)")

    def options(
        self,
        *,
        priority: int | None = None,
        key: str | None = None,
        at: datetime | None = None,
        unique: str | None = None,
        unique_policy: UniquePolicy = "skip",
        connection: Any = None,
    ) -> Self:
        """Return this workflow with settings for the next start.

        *priority*: -20 (first) to 19. *key*: the same key and parameters give the same flow. *at*: not before this time, which has a zone; in the
        past, it runs now, and `Flow.note` says so. *unique*: a key of which one flow is in progress at a time; another one is skipped (then `start`
        returns the one in progress, with `Flow.skipped`), or queues. *connection*: of asyncpg, psycopg or SQLAlchemy; the flow is part of its
        transaction.
        """
        made = copy.copy(self)
        made._wishes = wishes(priority, key, at, unique, unique_policy)  # noqa: SLF001 - another of ours
        made._connection = connection  # noqa: SLF001
        return made

    async def start(self, *args: P.args, **kwargs: P.kwargs) -> Flow[R]:
        """Start a flow and return it; it is committed then, unless `options` named a connection. Raises Invalid for parameters that do not fit."""
        return self._flow(await starter().start(self._order(args, kwargs), self._connection))

    async def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start a flow, wait for its end and return its result. Raises as `start` and `Flow.result` do."""
        return await (await self.start(*args, **kwargs)).result()

    def start_sync(self, *args: P.args, **kwargs: P.kwargs) -> Flow[R]:
        """Do the same as `start` where no event loop runs."""
        return self._flow(starter().start_sync(self._order(args, kwargs), self._connection))

    def run_sync(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same as `run` where no event loop runs."""
        return self.start_sync(*args, **kwargs).result_sync()

    def __repr__(self) -> str:
        return f"<workflow {self.name} at {self.place}>"

    @cached_property
    def parameters(self) -> Parameters:
        """What a flow takes."""
        return Parameters(self.name, self.signature, self._hints)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return hints.read_hints(self.fn, [*self.signature.parameters, "return"], self._local)

    def _order(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Order:
        given = self.signature.bind(*args, **kwargs).arguments
        values = {name: self._plain(name, value) for name, value in given.items()}
        wrong = [error for name, value in values.items() for error in self.parameters.problems(name, value)]
        if wrong:
            raise Invalid(wrong)
        return Order(self.name, values, dict(self._wishes))

    def _plain(self, name: str, value: object) -> Json:
        convert = converter(self._hints.get(name, Any))
        try:
            return plain_json(value if convert is None else convert(value), self.place, f"the parameter {name} of {self.name}")
        except (Unwritable, TraceError) as error:
            raise Invalid([FieldError(name, str(error))]) from None

    def _flow(self, made: Made) -> Flow[R]:
        return Flow(made.flow_id, self.name, self._decode, made.skipped, made.note)

    def _decode(self, result: Json) -> R:
        hint = self._hints.get("return", Any)
        return cast("R", result if hint is Any or hint is None else hints.adapter(hint).validate_json(json.dumps(result)))

    @cached_property
    def definition(self) -> Definition:
        """Its steps. The body runs twice for it, and must build the same both times. Raises TraceError."""
        first, second = self._trace(), self._trace()
        if first != second:
            raise TraceError(self.place, f"{self.name} builds something else each time: {_difference(first, second)}. {_EACH_TIME}")
        return first

    def _trace(self) -> Definition:
        trace, refused = Trace(), list[TraceError]()
        takes = self._takes()
        token = REFUSED.set(refused)
        with trace.recording():
            try:
                returned = cast("Callable[..., object]", self.fn)(**{name: Handle(Reference("param", name)) for name in self.signature.parameters})
            except TraceError:
                raise
            except Exception as error:
                raise TraceError(_place_of(error) or self.place, f"the body of {self.name} raised {type(error).__name__}: {error}") from error
            finally:
                REFUSED.reset(token)
        if refused:
            raise refused[0]  # the body caught it, and built what it does not say
        if not trace.steps:
            raise TraceError(self.place, f"{self.name} has no steps: call a task in its body")
        return Definition(self.name, tuple(trace.steps), takes, self._result(trace, returned), self.timeout, self.max_flows)

    def _result(self, trace: Trace, returned: object) -> Json:
        wanted = self._hints.get("return", Any)
        if returned is None and wanted not in {Any, None, type(None), object} and type(None) not in get_args(wanted):
            raise TraceError(
                self.place, f"{self.name} returns nothing, and its signature says -> {getattr(wanted, '__name__', wanted)}: return a result"
            )
        result = trace.json(returned, self.place, f"the result of {self.name}")
        if any(reference.kind == "param" for reference in references(result)):
            raise TraceError(self.place, f"{self.name} returns one of its parameters: the result of a flow comes from its steps")
        return result

    def _takes(self) -> dict[str, Json]:
        takes: dict[str, Json] = {}
        for parameter in self.signature.parameters.values():
            hint = self._hints.get(parameter.name, Any)
            takes[parameter.name] = {"schema": hints.json_schema(hint)}
            if parameter.default is not inspect.Parameter.empty:
                convert, default = converter(hint), parameter.default
                what = f"the default of {parameter.name}"
                takes[parameter.name]["default"] = plain_json(default if convert is None else convert(default), self.place, what)
                problems = self.parameters.problems(parameter.name, takes[parameter.name]["default"])
                if problems:
                    raise TraceError(self.place, f"{what} of {self.name} does not fit: {'; '.join(map(str, problems))}")
        return takes


_EACH_TIME = "What differs each time (a set's order, the clock, random) belongs into a task, or is a parameter"


class DecorateWorkflow(Protocol):
    """What `workflow(name=…)` returns."""

    def __call__(self, fn: Callable[P, R], /) -> Workflow[P, R]:
        """Make *fn* a workflow."""
        ...


@overload
def workflow(fn: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str | None = None, timeout: float | None = None, max_flows: int | None = None, schedule: Timetable | None = None
) -> DecorateWorkflow: ...
def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | None = None,
    max_flows: int | None = None,
    schedule: Timetable | None = None,
) -> Any:
    """Make a function a workflow, called like the function or *name*.

    *timeout*: how many seconds a flow may take, from its start or its `at`; what is unfinished then is cancelled.
    *max_flows*: how many flows may be in progress at once, the others queue; 0: none may begin.
    *schedule*: `Cron` or `Every`, when it starts by the clock; the schedule is called like the workflow, and written when the workflow is.
    Its body is run when its definition is asked for, not now: it may call tasks that stand further down. Raises ModuleProblem, with file and
    line, for a function that cannot be a workflow and for a name that another workflow has.
    """
    caller = sys._getframe(1)  # noqa: SLF001 - its local types
    where, local = f"{caller.f_code.co_filename}:{caller.f_lineno}", caller.f_locals

    def decorate(decorated: Callable[..., Any]) -> Workflow[..., Any]:
        found = code_place(decorated) or where
        if timeout is not None and (not isinstance(timeout, int | float) or not 0 < timeout <= _LONGEST_SECONDS):
            refuse(found, f"timeout={timeout!r}: a number of seconds above 0 is needed")
        if max_flows is not None and (type(max_flows) is not int or not 0 <= max_flows <= _MOST_FLOWS):
            refuse(found, f"max_flows={max_flows!r}: a whole number from 0 on is needed")
        called = proper_name(decorated, name, found, "workflow")
        if max_flows is not None and called.endswith("*"):
            refuse(found, f"max_flows= cannot be for {called}: a limit whose name ends in * is a pattern, and would hold other workflows, too")
        if not isinstance(schedule, Timetable | None):
            refuse(found, f'schedule={schedule!r}: a Cron("30 2 * * *", zone="Europe/Paris") or an Every("15m") is needed')
        made: Workflow[..., Any] = Workflow(decorated, called, found, local_types(decorated, local), timeout, max_flows, schedule)
        REGISTRY.add_workflow(made)
        return made

    return decorate if fn is None else decorate(fn)


def _signature(fn: Callable[..., Any], name: str, where: str) -> inspect.Signature:
    if inspect.iscoroutinefunction(fn):
        refuse(where, f"{name} is an async def, and the body of a workflow awaits nothing: write def")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        refuse(where, f"{name} is a generator (it has yield); a workflow returns what its flows result in")
    signature = inspect.signature(fn)
    for parameter in signature.parameters.values():
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            refuse(where, f"{name} takes {parameter}, and each parameter of a workflow has a name of its own: write it out, without / and *")
    return signature


def _place_of(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _difference(first: Definition, second: Definition) -> str:
    for one, other in zip(first.steps, second.steps, strict=False):
        if one != other:
            return f"step {one.seq} is {one.name}({one.parameters}) at first and {other.name}({other.parameters}) then ({one.place})"
    if len(first.steps) != len(second.steps):
        return f"it has {len(first.steps)} steps at first and {len(second.steps)} then"
    return "its result or the default of a parameter differs"

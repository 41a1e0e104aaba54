"""`@task`: makes a function a program that workflows name. Knows nothing of how it is run."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, Protocol, Self, TypeVar, cast, overload

from flower.core.definition import LONGEST_NAME
from flower.core.errors import ModuleProblem, NotInWorkflow, TraceError
from flower.core.model import Program
from flower.sdk.handle import place
from flower.sdk.hints import json_schema, read_hints
from flower.sdk.limits import limits_of
from flower.sdk.parameters import Parameters
from flower.sdk.registry import REGISTRY, Registered
from flower.sdk.results import converter
from flower.sdk.retry import Backoff, Policy, backoff_of, kinds_of
from flower.sdk.trace import StepOptions, current_trace
from flower.sdk.values import clean

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_USUAL = Policy()


class Task(Registered, Generic[P, R, F]):
    """A function that workflows can name.

    *fn* is the function itself. *name* is what stands in the column `program`. *place* is `file:line` of the function.
    *policy*: how often it is tried, and how long it may take. *limits*: those that it counts for.
    Made by `task`, never by hand.
    """

    fn: F

    def __init__(self, fn: F, name: str, place: str, local: Mapping[str, Any], policy: Policy = _USUAL) -> None:
        self.fn, self.name, self.place = fn, name, place
        self.limits: tuple[str, ...] | None = None
        self.is_async = inspect.iscoroutinefunction(fn)
        self.signature = _signature(fn, name, place)
        self._local, self._step, self.policy = local, StepOptions(), policy
        self.__doc__ = inspect.getdoc(fn)
        self.__module__ = getattr(fn, "__module__", type(self).__module__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a step of the workflow whose body this is in. Elsewhere raise NotInWorkflow: only there a call means something."""
        trace = current_trace()
        if trace is not None:
            return trace.add(self, args, kwargs, self._step)  # type: ignore[return-value]  # stands for the result
        raise NotInWorkflow(self.name, f"{'await ' if self.is_async else ''}{getattr(self.fn, '__name__', self.name)}.fn(…)")

    def options(self, *, name: str | None = None, after: Sequence[object] = (), when: bool | None = None, join: str = "all") -> Self:
        """Return this task with settings for one step: its *name*, and the results of steps that it comes *after*."""
        if when is not None or join != "all":
            raise TraceError(place(), "when= and join= are not there yet: a step runs when all that it depends on has finished or is ignored")
        made = copy.copy(self)
        made._step = StepOptions(name, tuple(after))  # noqa: SLF001 - another of ours
        return made

    def with_fn(self, fn: Callable[..., Any]) -> Task[..., Any, Any]:
        """Return a task that is this one to everybody, its types included, but runs *fn*, which gets the same arguments, by name."""
        made = copy.copy(cast("Task[..., Any, Any]", self))
        made.fn, made.is_async = fn, inspect.iscoroutinefunction(fn)
        made.__dict__["_hints"] = self._hints  # read from the function, later
        return made

    def map(self: Task[Concatenate[T, Q], R, F], items: Iterable[T], /, *args: Q.args, **kwargs: Q.kwargs) -> list[R]:  # noqa: ARG002 - for readers and type checkers
        """Raise: one task per element of a result comes later."""
        raise TraceError(
            place(), f"{self.name}.map(…) is not there yet: hand the list to one task, or call {self.name} in a loop over ordinary values"
        )

    def __repr__(self) -> str:
        return f"<task {self.name} at {self.place}>"

    @cached_property
    def parameters(self) -> Parameters:
        """What the function takes."""
        return Parameters(self.name, self.signature, self._hints)

    @cached_property
    def program(self) -> Program:
        """What a worker announces of it."""
        accepts = {name: json_schema(self._hints.get(name, Any)) for name in self.parameters.names}
        return Program(
            self.name,
            self.parameters.takes,
            self.parameters.requires,
            accepts,
            json_schema(self._hints.get("return", Any)),
            self.policy.to_json(),
            self.place,
            self.limits,
        )

    @cached_property
    def convert_result(self) -> Callable[[Any], Any] | None:
        """What turns a result into plain JSON, None if that is what the function returns."""
        return converter(self._hints.get("return", Any))

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return read_hints(self.fn, [*self.signature.parameters, "return"], self._local)


class Decorate(Protocol):
    """What `task(name=…)` returns."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R, Callable[P, Coroutine[Any, Any, R]]]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R, Callable[P, R]]: ...


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R, Callable[P, Coroutine[Any, Any, R]]]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R, Callable[P, R]]: ...
@overload
def task(
    *,
    name: str | None = None,
    attempts: int = 1,
    backoff: float | Backoff = _USUAL.backoff,
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    give_up_on: type[BaseException] | tuple[type[BaseException], ...] = (),
    timeout: float | None = None,
    on_lost: Literal["retry", "suspend"] = "retry",
    limit: str | Sequence[str] | None = None,
) -> Decorate: ...
def task(fn: Callable[..., Any] | None = None, /, *, name: str | None = None, limit: str | Sequence[str] | None = None, **options: Any) -> Any:
    """Make a function a task, called like the function or *name*.

    An `async def` runs on the loop, a `def` in a thread. *attempts*: how often it is tried, if what it raises is one of *retry_on* (any
    Exception) and none of *give_up_on*. *backoff*: the pause before the second attempt in seconds, then doubled, up to 300; or a Backoff.
    *timeout*: how many seconds one attempt may take. *on_lost*: `suspend` for a task that must not run again by itself after its worker was
    lost. *limit*: the name of a limit, or several, that it counts for; `"tenant:{customer}"` is one for each value of its parameter customer.
    Raises ModuleProblem, with file and line, for a function that cannot be a task (a generator, positional-only or `*args`
    parameters), for a name that another task has, and for options that make no sense.
    """
    caller = sys._getframe(1)  # noqa: SLF001 - where a callable without code of its own was made a task, and its local types
    where, local = f"{caller.f_code.co_filename}:{caller.f_lineno}", caller.f_locals

    def decorate(decorated: Callable[..., Any]) -> Task[..., Any, Any]:
        place = code_place(decorated) or where
        called = proper_name(decorated, name, place, "task")
        made: Task[..., Any, Any] = Task(decorated, called, place, local_types(decorated, local), _policy(options, called, place))
        try:
            made.limits = limits_of(limit, made.signature)
        except (TypeError, ValueError) as error:
            refuse(place, f"the options of {called} are wrong: {error}")
        REGISTRY.add(made)
        return made

    return decorate if fn is None else decorate(fn)


def _policy(options: dict[str, Any], name: str, place: str) -> Policy:
    if not options:
        return _USUAL
    try:
        given: dict[str, Any] = {key: kinds_of(value) if key in {"retry_on", "give_up_on"} else value for key, value in options.items()}
        if "backoff" in given:
            given["backoff"] = backoff_of(given["backoff"])
        return Policy(**given)
    except (TypeError, ValueError) as error:
        refuse(place, f"the options of {name} are wrong: {error}")


def code_place(fn: Any) -> str | None:
    """Return `file:line` of the code of *fn*, None if it has none of its own."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def local_types(fn: Any, local: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names around a function inside a function: its hints may mean classes that no module knows."""
    return dict(local) if "<locals>" in getattr(fn, "__qualname__", "") else {}


def proper_name(fn: Any, name: str | None, place: str, what: str) -> str:
    """Return *name*, or that of the function *fn* which is to be a *what* (task, workflow). Raises ModuleProblem if it can be none."""
    if isinstance(fn, Registered):
        refuse(place, f"{fn.name} is a {type(fn).__name__.lower()} already; write one of @task and @workflow, once")
    if not callable(fn) or isinstance(fn, type | staticmethod | classmethod):
        refuse(place, f"@{what} takes a function, not {fn!r}")
    found = getattr(fn, "__name__", "") if name is None else name
    if not isinstance(found, str) or not found or len(found) > LONGEST_NAME or clean(found) != found:
        refuse(place, f"a {what} needs a name of 1 to {LONGEST_NAME} characters, without NUL and half surrogate pairs: @{what}(name=…)")
    if found == "<lambda>":
        refuse(place, f"a lambda has no name; write {what}(name=…)(lambda …)")
    return found


def _signature(fn: Callable[..., Any], name: str, place: str) -> inspect.Signature:
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        refuse(place, f"{name} is a generator (it has yield); a task returns its result: return a list")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        refuse(place, f"Python cannot tell the parameters of {name}; wrap it in a function of your own")
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            refuse(place, f"{name} takes {parameter.name!r} by position only, and parameters have names; remove the / from its signature")
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            refuse(place, f"{name} takes *{parameter.name}, and parameters have names; write {parameter.name}: list[…] instead")
    return signature


def refuse(place: str, reason: str) -> NoReturn:
    """Raise ModuleProblem for what stands at *place*."""
    raise ModuleProblem(f"{place}: {reason}")

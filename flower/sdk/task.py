"""`@task`: makes a function a program that workflows name. Knows nothing of how it is run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload

from flower.core.errors import ModuleProblem, NotInWorkflow
from flower.sdk.hints import read_hints
from flower.sdk.parameters import Parameters
from flower.sdk.registry import REGISTRY
from flower.sdk.results import converter
from flower.sdk.values import clean

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_LONGEST_NAME = 256


class Task(Generic[P, R, F]):
    """A function that workflows can name.

    *fn* is the function itself. *name* is what stands in the column `program`. *place* is `file:line` of the function.
    Made by `task`, never by hand.
    """

    fn: F

    def __init__(self, fn: F, name: str, place: str, local: Mapping[str, Any]) -> None:
        self.fn, self.name, self.place = fn, name, place
        self.is_async = inspect.iscoroutinefunction(fn)
        self.signature = _signature(fn, name, place)
        self._local = local
        self.__doc__ = inspect.getdoc(fn)
        self.__module__ = getattr(fn, "__module__", type(self).__module__)

    def __call__(self, *_args: P.args, **_kwargs: P.kwargs) -> R:
        """Raise NotInWorkflow: only in the body of a workflow a call means something, a step."""
        raise NotInWorkflow(self.name, f"{'await ' if self.is_async else ''}{getattr(self.fn, '__name__', self.name)}.fn(…)")

    def __repr__(self) -> str:
        return f"<task {self.name} at {self.place}>"

    @cached_property
    def parameters(self) -> Parameters:
        """What the function takes."""
        return Parameters(self.name, self.signature, self._hints)

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
def task(*, name: str) -> Decorate: ...
def task(fn: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Make a function a task, called like the function or *name*.

    An `async def` runs on the loop, a `def` in a thread. Raises ModuleProblem, with file and line, for a function that cannot be
    a task (a generator, positional-only or `*args` parameters) and for a name that another task has.
    """
    caller = sys._getframe(1)  # noqa: SLF001 - where a callable without code of its own was made a task, and its local types
    where, local = f"{caller.f_code.co_filename}:{caller.f_lineno}", caller.f_locals

    def decorate(decorated: Callable[..., Any]) -> Task[..., Any, Any]:
        place = _place(decorated) or where
        made: Task[..., Any, Any] = Task(decorated, _name(decorated, name, place), place, _local_types(decorated, local))
        REGISTRY.add(made)
        return made

    return decorate if fn is None else decorate(fn)


def _place(fn: Any) -> str | None:
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _local_types(fn: Any, local: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names around a function inside a function: its hints may mean classes that no module knows."""
    return dict(local) if "<locals>" in getattr(fn, "__qualname__", "") else {}


def _name(fn: Any, name: str | None, place: str) -> str:
    if isinstance(fn, Task):
        _refuse(place, f"{fn.name} is a task already; write @task once")
    if not callable(fn) or isinstance(fn, type | staticmethod | classmethod):
        _refuse(place, f"@task takes a function, not {fn!r}")
    found = getattr(fn, "__name__", "") if name is None else name
    if not isinstance(found, str) or not found or len(found) > _LONGEST_NAME or clean(found) != found:
        _refuse(place, f"a task needs a name of 1 to {_LONGEST_NAME} characters, without NUL and half surrogate pairs: @task(name=…)")
    if found == "<lambda>":
        _refuse(place, "a lambda has no name; write task(name=…)(lambda …)")
    return found


def _signature(fn: Callable[..., Any], name: str, place: str) -> inspect.Signature:
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        _refuse(place, f"{name} is a generator (it has yield); a task returns its result: return a list")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        _refuse(place, f"Python cannot tell the parameters of {name}; wrap it in a function of your own")
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            _refuse(place, f"{name} takes {parameter.name!r} by position only, and parameters have names; remove the / from its signature")
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            _refuse(place, f"{name} takes *{parameter.name}, and parameters have names; write {parameter.name}: list[…] instead")
    return signature


def _refuse(place: str, reason: str) -> NoReturn:
    raise ModuleProblem(f"{place}: {reason}")

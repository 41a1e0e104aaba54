"""What the body of a workflow builds while it runs once: steps, from the calls of tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from flower.core.definition import LONGEST_NAME, DefinedStep
from flower.core.model import Json
from flower.core.references import MARKS, Reference, escaped, references
from flower.core.strict import DEEPEST
from flower.sdk.handle import Handle, place, reference_of, refusal
from flower.sdk.parameters import PARAMETERS_LIMIT_BYTES
from flower.sdk.values import Unwritable, clean, write

if TYPE_CHECKING:
    from flower.sdk.task import Task


@dataclasses.dataclass(frozen=True, slots=True)
class StepOptions:
    """What `.options(…)` said of the step to come. *after*: handles of steps that it only comes after."""

    name: str | None = None
    after: tuple[object, ...] = ()


class Trace:
    """The steps of one workflow, in the order of their calls."""

    def __init__(self) -> None:
        self.steps: list[DefinedStep] = []
        self._seqs: dict[str, Decimal] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Have calls of tasks become steps of this."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def add(
        self, task: Task[..., Any, Any], args: Sequence[object], kwargs: Mapping[str, object], options: StepOptions, *, called: str | None = None
    ) -> Handle:
        """Make a step of the call of *task*, called like that or *called*, and return what stands for its result. Raises TraceError."""
        where = place()
        parameters = {name: self._argument(task, name, value, where) for name, value in _bound(task, args, kwargs, where).items()}
        try:
            write(parameters, PARAMETERS_LIMIT_BYTES)
        except Unwritable as error:
            raise refusal(where, f"the parameters of {task.name} cannot be stored: {error}") from None
        parents = [reference.name for reference in references(parameters) if reference.kind == "task"]
        parents += [self._step_of(handle, where) for handle in options.after]
        name = self._free_name(called or task.name) if options.name is None else self._own_name(options.name, where)
        seq = Decimal(len(self.steps) + 1)
        depends_on = tuple(sorted({self._seqs[parent] for parent in parents}))
        self.steps.append(DefinedStep(seq, name, task.name, depends_on, parameters, where, limits=task.limits))
        self._seqs[name] = seq
        return Handle(Reference("task", name))

    def json(self, value: object, where: str, what: str) -> Json:
        """Return *value* as the JSON of a definition, handles as references. *what* it is, for the message of a TraceError."""
        reference = reference_of(value)
        if reference is not None:
            if reference.kind == "task" and reference.name not in self._seqs:
                raise refusal(where, f"{what} holds {value!r}, the result of a step of another workflow; hand it over as a parameter of this one")
            return reference.to_json()
        if not _holds_a_handle(value):
            return escaped(plain_json(value, where, what))
        if isinstance(value, Mapping):
            if MARKS & value.keys():
                raise refusal(
                    where, f"{what} holds a dict with a key like $task beside a result: such a key would be taken for a reference; use another"
                )
            return {_key(key, where, what): self.json(item, where, what) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item, where, what) for item in value]
        return {field.name: self.json(getattr(value, field.name), where, what) for field in dataclasses.fields(cast("Any", value))}

    def _argument(self, task: Task[..., Any, Any], name: str, value: object, where: str) -> Json:
        what = f"the parameter {name} of {task.name}"
        found = self.json(value, where, what)
        if not any(references(found)):
            problems = task.parameters.problems(name, found)
            if problems:
                raise refusal(where, f"{what} does not fit: {'; '.join(map(str, problems))}")
        return found

    def _step_of(self, handle: object, where: str) -> str:
        reference = reference_of(handle)
        if reference is None or reference.kind != "task" or reference.name not in self._seqs:
            raise refusal(where, f"after=[…] takes what earlier steps of this workflow returned, not {handle!r}")
        return reference.name

    def _free_name(self, name: str) -> str:
        return next(free for number in count(1) if (free := name if number == 1 else f"{name}-{number}") not in self._seqs)

    def _own_name(self, name: str, where: str) -> str:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or clean(name) != name:
            raise refusal(where, f"a step needs a name of 1 to {LONGEST_NAME} characters, without NUL: .options(name=…)")
        if name in self._seqs:
            raise refusal(where, f"two steps would have the name {name!r}; give this one another: .options(name=…)")
        return name


_CURRENT: ContextVar[Trace | None] = ContextVar("flower_trace", default=None)


def plain_json(value: object, where: str, what: str) -> Json:
    """Return *value*, which holds no handles, as JSON. Raises TraceError."""
    try:
        return _plain_json(value, where, what)
    except RecursionError:
        raise refusal(where, f"{what} is nested too deep, or holds itself") from None


def current_trace() -> Trace | None:
    """Return the trace of the workflow whose body is running, None outside of one."""
    return _CURRENT.get()


def _bound(task: Task[..., Any, Any], args: Sequence[object], kwargs: Mapping[str, object], where: str) -> dict[str, object]:
    try:
        bound = task.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise refusal(where, f"this does not fit {task.name}{task.signature}: {error}") from None
    arguments = dict(bound.arguments)
    for parameter in task.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
    return arguments


def _holds_a_handle(value: object, depth: int = 0) -> bool:
    if reference_of(value) is not None:
        return True
    if depth > DEEPEST:
        return False
    if isinstance(value, Mapping):
        return any(_holds_a_handle(item, depth + 1) for item in (*value, *value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds_a_handle(item, depth + 1) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(_holds_a_handle(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value))
    return False


def _plain_json(value: object, where: str, what: str) -> Json:
    if isinstance(value, Mapping):
        return {_key(key, where, what): _plain_json(item, where, what) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_json(item, where, what) for item in value]
    if isinstance(value, set | frozenset):
        raise refusal(where, f"{what} holds a set, which has no order: write sorted(…) or a list")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain_json(getattr(value, field.name), where, what) for field in dataclasses.fields(value)}
    return _plain(value, where, what)


def _key(key: object, where: str, what: str) -> str:
    if not isinstance(key, str):
        raise refusal(where, f"{what} holds a dict with the key {key!r}, and keys of JSON are texts")
    return key


def _plain(value: object, where: str, what: str) -> Json:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, UnicodeDecodeError) as error:
        raise refusal(
            where, f"{what} holds {value!r}, which cannot be stored ({error}); hand over plain JSON, a date, a UUID, a dataclass or a model"
        ) from None

"""A flow that Python code started, and the seam to what starts it: the SDK itself knows no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar, cast

from flower.core.model import Json, Order, Registered, UniquePolicy
from flower.core.signals import Signal
from flower.sdk.trace import plain_json

R = TypeVar("R")


class Starter(Protocol):
    """Starts flows, waits for them, and sends signals. *connection*: the caller's own, whose transaction it becomes part of."""

    async def start(self, order: Order, connection: Any) -> Registered:
        """Start a flow and return what became of it; with *connection*, only its id."""
        ...

    def start_sync(self, order: Order, connection: Any) -> Registered:
        """Do the same where no event loop runs."""
        ...

    async def signal(self, signal: Signal, connection: Any) -> None:
        """Send a signal."""

    def signal_sync(self, signal: Signal, connection: Any) -> None:
        """Do the same where no event loop runs."""

    async def result(self, flow_id: str, timeout: float | None) -> Json:  # noqa: ASYNC109 - as product.md promises
        """Wait for the end of a flow and return what it resulted in."""

    def result_sync(self, flow_id: str, timeout: float | None) -> Json:
        """Do the same where no event loop runs."""

    async def do(self, verb: str, flow_id: str, step: str | None, options: Mapping[str, Json]) -> Json:
        """Do a verb to a flow, or to one of its tasks."""


def starter() -> Starter:
    """Return what starts flows. It is looked up by name, so that a module of tasks is imported without a database driver."""
    return cast("Starter", import_module("flower.client").STARTER)


@dataclass(frozen=True, slots=True)
class Flow(Generic[R]):
    """A flow that was started. *id* is what `python -m flower show` takes.

    *skipped*: nothing was started, as this one has the same unique key and is in progress. *note*: what you may not have meant, such as a time in the
    past. Neither is known of a start over your own `connection`: there PostgreSQL says it in a notice.
    """

    id: str
    workflow: str
    _decode: Callable[[Json], R]
    skipped: bool = False
    note: str | None = None

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - as product.md promises
        """Wait until the flow is over, and return what its workflow returns.

        Raises FlowFailed with the failing task, also for a cancelled flow, and TimeoutError after *timeout* seconds; the flow goes on then.
        A flow that waits for a person is waited for.
        """
        return self._decode(await starter().result(self.id, timeout))

    def result_sync(self, timeout: float | None = None) -> R:
        """Do the same as `result` where no event loop runs."""
        return self._decode(starter().result_sync(self.id, timeout))

    # What a person may do to it, too. Each raises NotNow where it does not fit the state, and returns what was done, as HTTP answers it.

    async def rerun(self, **options: Json) -> Json:
        """Run again what failed or was cancelled and what depends on it; *options* as over HTTP: `from_` (or `only`), `parameters`, `dryRun`, …."""
        named = {("from" if name == "from_" else name): value for name, value in options.items()}
        return await starter().do("rerun", self.id, None, named)

    async def cancel(self, reason: str | None = None) -> Json:
        """Make everything unfinished ignored."""
        return await starter().do("cancel", self.id, None, _why(reason))

    async def suspend(self, reason: str | None = None) -> Json:
        """Have nothing new start."""
        return await starter().do("suspend", self.id, None, _why(reason))

    async def resume(self, reason: str | None = None) -> Json:
        """Let it go on."""
        return await starter().do("resume", self.id, None, _why(reason))

    async def ignore(self, step: str, reason: str | None = None) -> Json:
        """Skip the task *step*, its seq or name."""
        return await starter().do("ignore", self.id, step, _why(reason))

    async def complete(self, step: str, result: Json, reason: str | None = None) -> Json:
        """Hand in the *result* of the task *step*, as JSON."""
        return await starter().do("complete", self.id, step, {**_why(reason), "result": result, "checked": True})

    async def retry(self, step: str, reason: str | None = None) -> Json:
        """Run the suspended task *step* again, or have its next attempt begin now."""
        return await starter().do("retry", self.id, step, _why(reason))


def _why(reason: str | None) -> dict[str, Json]:
    return {} if reason is None else {"reason": reason}


async def start(workflow: str, parameters: Mapping[str, Json] | None = None, **options: Any) -> Flow[Any]:
    """Start the workflow of this name, whose module need not be imported, and return the flow.

    *options*: `priority`, `key`, `at`, `unique`, `unique_policy`, `connection`, as `Workflow.options` has them.
    Raises UnknownWorkflow, Invalid, KeyReused or DatabaseLost.
    """
    order, connection = _order(workflow, parameters, options)
    return _flow(workflow, await starter().start(order, connection))


def start_sync(workflow: str, parameters: Mapping[str, Json] | None = None, **options: Any) -> Flow[Any]:
    """Do the same as `start` where no event loop runs."""
    order, connection = _order(workflow, parameters, options)
    return _flow(workflow, starter().start_sync(order, connection))


def _order(workflow: str, parameters: Mapping[str, Json] | None, options: dict[str, Any]) -> tuple[Order, Any]:
    connection = options.pop("connection", None)
    known = {name: options.pop(name, None) for name in ("priority", "key", "at", "unique")} | {"unique_policy": options.pop("unique_policy", "skip")}
    if options:
        raise TypeError(f"start() has no option {next(iter(options))!r}; it has priority, key, at, unique, unique_policy and connection")
    given = plain_json(dict(parameters or {}), workflow, "what the flow is started with")
    return Order(workflow, given, wishes(**known)), connection


def wishes(priority: int | None, key: str | None, at: datetime | None, unique: str | None, unique_policy: UniquePolicy) -> dict[str, Json]:
    """Return the options of an order, as HTTP has them. Raises ValueError for a time without a zone and a policy that is none."""
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        raise ValueError("at= needs a time with a zone, like datetime.now(UTC) + timedelta(minutes=10)")
    if unique_policy not in {"skip", "queue"}:
        raise ValueError(f"unique_policy={unique_policy!r}: it is 'skip' or 'queue'")
    once = None if unique is None else {"key": unique, "policy": unique_policy}
    given = {"priority": priority, "idempotencyKey": key, "runAt": at and at.isoformat(), "unique": once}
    return {name: value for name, value in given.items() if value is not None}


def _flow(workflow: str, made: Registered) -> Flow[Any]:
    return Flow(made.flow_id, workflow, _plain, made.skipped, made.note)


def _plain(value: Json) -> Any:
    return value

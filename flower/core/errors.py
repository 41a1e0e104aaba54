"""Every error that Flower raises on purpose.

FlowerError
├── UsageError             the request is at fault: HTTP 4xx, exit status 1
│   ├── UnknownWorkflow    404
│   ├── UnknownFlow        404
│   ├── AmbiguousFlow      409
│   ├── KeyReused          409
│   ├── Invalid            422, with a path per field
│   └── RequestRefused     any other 4xx of the HTTP interface
├── ConfigurationError     the surroundings are at fault, waiting does not help: exit status 78
│   ├── SchemaTooNew
│   └── ModuleProblem
└── DatabaseLost           the database cannot be reached just now: HTTP 503, tried again for ever

A class holds its data and writes its own message, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class FlowerError(Exception):
    """Anything that Flower raises on purpose."""


class UsageError(FlowerError):
    """The request cannot be carried out as it is."""

    status = 400


class ConfigurationError(FlowerError):
    """Flower cannot work in these surroundings, and waiting does not help."""

    exit_status = 78


class DatabaseLost(FlowerError):
    """The database cannot be reached just now, or did not say whether it did what it was asked."""

    status = 503


class UnknownWorkflow(UsageError):
    """No workflow is defined under this id. *near*: ids that look like it."""

    status = 404

    def __init__(self, workflow: str, near: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"no tasks registered{hint} (list the workflows: python -m flower workflows, or GET /api/workflows)")
        self.workflow, self.near = workflow, tuple(near)


class UnknownFlow(UsageError):
    """No flow has this id, or an id that begins like this."""

    status = 404

    def __init__(self, flow: str) -> None:
        super().__init__(f"no flow {flow!r} (list the flows: python -m flower flows, or GET /api/flows)")
        self.flow = flow


class AmbiguousFlow(UsageError):
    """Several flows begin like this. *found*: some of them."""

    status = 409

    def __init__(self, flow: str, found: Sequence[str]) -> None:
        super().__init__(f"{flow!r} is the beginning of several flows: {', '.join(found)}; give more of the id")
        self.flow, self.found = flow, tuple(found)


class KeyReused(UsageError):
    """An idempotency key came again with another body."""

    status = 409

    def __init__(self, key: str) -> None:
        super().__init__(f"the idempotency key {key!r} was used before with other parameters or options; use a new key for a new order")
        self.key = key


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong in a request. *path* is like `parameters.url` or `items[3].priority`."""

    path: str
    message: str


class Invalid(UsageError):
    """The request has the right form and the wrong content. *errors*: what is wrong, field by field."""

    status = 422

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.path}: {error.message}" if error.path else error.message for error in errors))
        self.errors = tuple(errors)


class RequestRefused(UsageError):
    """The HTTP request is refused for its form, before its content is looked at. *headers*: for the answer."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class SchemaTooNew(ConfigurationError):
    """The database was migrated by a newer Flower."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(f"this database has schema {found}, written by a newer Flower; this one knows up to {known}: upgrade it (pip install --upgrade flower-workflow)")
        self.found, self.known = found, known


class ModuleProblem(ConfigurationError):
    """A module with tasks cannot be used: it does not import, or two tasks have one name."""

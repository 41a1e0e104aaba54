"""A workflow as it is written: what Python, HTTP and SQL all come down to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from decimal import Decimal

from flower.core.model import Json

# Of workflows, steps and programs: what the ancestor's columns hold.
LONGEST_NAME = 256

# Why code does not replace what is written.
LEFT_ALONE = {
    "superseded": "a newer version of this code was defined since; python -m flower define --force writes this one again",
    "edited": "its rows were written or changed by someone else; python -m flower define --force writes this code over them",
}

# What `run`, which runs the code that it is given, has then replaced.
OVERWRITTEN = {"superseded": "a newer version of this code had been defined since", "edited": "its rows had been written or changed by someone else"}


@dataclass(frozen=True, slots=True)
class DefinedStep:
    """One row of `ms_task_definition`.

    *name*: None, and it is called like its program. *depends_on*: the seq of its parents, None for the step before it. *parameters* may hold
    references (see `flower.core.references`). *place*: `file:line` of the call, if Python wrote it. *options*: what it says of its attempts in place
    of the function, `{"attempts": …, "backoff": …, "retryOn": …, "giveUpOn": …, "timeout": …, "onLost": …}`, each as it likes.
    """

    seq: Decimal
    name: str | None
    program: str
    depends_on: tuple[Decimal, ...] | None
    parameters: dict[str, Json]
    place: str | None = None
    priority: int = 0
    limits: tuple[str, ...] | None = None
    options: Json = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole workflow.

    *takes*: the parameters of a flow, each `{"schema": JSON schema}` and, unless it is required, `"default": value`; None: what its steps take.
    *result*: JSON with references that stands for the result of a flow, None if it has none. *timeout*: seconds of a flow, None: as long as it takes.
    *max_flows*: how many flows may be in progress at once, None: any number.
    """

    workflow: str
    steps: tuple[DefinedStep, ...]
    takes: dict[str, Json] | None = field(default_factory=dict)
    result: Json = None
    timeout: float | None = None
    max_flows: int | None = None

    def to_json(self) -> Json:
        """Return it in the shape of the HTTP interface."""
        steps = [
            {
                "seq": _number(step.seq),
                "name": step.name,
                "program": step.program,
                "dependsOn": None if step.depends_on is None else [_number(seq) for seq in step.depends_on],
                "parameters": step.parameters,
                "priority": step.priority,
                "limits": step.limits and list(step.limits),
                "place": step.place,
                **(step.options or {}),
            }
            for step in self.steps
        ]
        whole = {"workflow": self.workflow, "steps": steps, "parameters": self.takes, "result": self.result}
        some = {"timeout": self.timeout, "maxFlows": self.max_flows}
        return whole | {name: value for name, value in some.items() if value is not None}

    @property
    def hash(self) -> str:
        """What tells whether two are the same; where in a file a step stands does not count."""
        content = self.to_json()
        for step in content["steps"]:
            del step["place"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _number(seq: Decimal) -> int | float:
    return int(seq) if seq == int(seq) else float(seq)

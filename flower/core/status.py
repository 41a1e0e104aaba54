"""The five states of a task, and the second word that says why. Knows the numbers that stand in kr_task_stat."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum

from flower.core.errors import FieldError, Invalid


class Status(IntEnum):
    """What stands in `exec_status`. A hand may write any other number: see `status_word`."""

    WAIT = 0
    RUNNING = 1
    SUSPEND = 2
    FINISH = 3
    IGNORE = 9

    @property
    def word(self) -> str:
        """The name that people see: `wait`, `running`, …."""
        return self.name.lower()


class Why(StrEnum):
    """What stands in `outcome`: why a task is suspended or ignored."""

    FAILED = "failed"
    APPROVAL = "approval"
    POISON = "poison"
    INVALID = "invalid"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    CONDITION = "condition"


# Suspended for one of these, a task went wrong. An approval, or no reason at all, means that a person was asked to look.
FAULTS = frozenset({Why.FAILED, Why.POISON, Why.INVALID})


class Gate(StrEnum):
    """What a waiting task waits for, in the order in which the gates are passed."""

    DEPENDENCIES = "dependencies"
    TIME = "time"
    PAUSE = "pause"
    SIGNAL = "signal"
    PROGRAM = "program"
    LIMIT = "limit"
    SLOT = "slot"


def status_word(number: Decimal) -> str:
    """Return the word for *number*, or the number itself where a hand wrote one that means nothing."""
    try:
        return Status(int(number)).word if number == int(number) else str(number)
    except (ValueError, OverflowError):
        return str(number)


def words(status: str | None, outcome: str | None) -> tuple[str | None, str | None]:
    """Return a status and an outcome, where *status* may be the word of either. Raises Invalid for a word that is neither."""
    states, whys = [state.word for state in Status], [why.value for why in Why]
    if status in whys and outcome is None:
        status, outcome = None, status
    if status is not None and status not in states:
        raise Invalid([FieldError("status", f"{status!r} is none of {', '.join(states + whys)}")])
    if outcome is not None and outcome not in whys:
        raise Invalid([FieldError("outcome", f"{outcome!r} is none of {', '.join(whys)}")])
    return status, outcome

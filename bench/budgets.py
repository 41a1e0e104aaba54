"""The performance budget: what each figure should reach on two cores. The only place where a number is set instead of measured."""

from __future__ import annotations

from dataclasses import dataclass

# Each release says how much of every budget it has to reach; this one all.
SHARE_OF_THIS_RELEASE = 1.0


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound in the figure's unit: a least or a most."""

    bound: float
    is_least: bool

    def reached(self, value: float) -> float:
        """Return how much of the budget *value* reaches: 1 is all of it, whichever way is better."""
        if self.is_least:
            return value / self.bound
        return self.bound / value if value else 1.0

    @property
    def now(self) -> float:
        """The bound that this release has to keep."""
        return self.bound * SHARE_OF_THIS_RELEASE if self.is_least else self.bound / SHARE_OF_THIS_RELEASE


def _least(bound: float) -> Budget:
    return Budget(bound, is_least=True)


def _most(bound: float) -> Budget:
    return Budget(bound, is_least=False)


BUDGETS = {
    "noop": _least(25_000),
    "noop ÷ raw": _least(0.7),
    "noop logged": _least(15_000),
    "latency p50": _most(2.5),
    "latency p99": _most(8),
    "chain": _most(50),
    "fan": _most(120),
    "registrations": _least(5_000),
    "attack": _most(500),
    "attack memory": _most(100),
    "full ÷ empty": _least(0.9),
    "snapshot": _least(0.8),
    "idle statements": _most(0),
    "idle cpu": _most(0.5),
    "idle memory": _most(90),
    "start": _most(2),
    "page": _most(50),
    "trace": _most(200),
    "typed": _most(20),
    "large flow": _most(50),
    "flow size": _least(0.9),
    "talk": _least(0.6),
    "limited": _least(0.6),
    "keyed": _least(0.4),
    "behind a limit": _least(0.9),
    "release": _most(3),
    "incidents": _most(100),
    "rerun": _most(1_000),
    # All of a minute fire within it, and a process that has nothing to do does not feel them.
    "schedules": _most(60),
    "idle schedules": _most(0.1),
}

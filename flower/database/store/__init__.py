"""One module per noun; each method sends one file of sql/queries and adds types to it."""

from __future__ import annotations

from flower.database.pool import Pool
from flower.database.store.changes import Changes
from flower.database.store.clockwork import DueSchedules
from flower.database.store.cycle import Cycle
from flower.database.store.flows import Flows
from flower.database.store.incidents import Incidents
from flower.database.store.limits import Limits
from flower.database.store.logs import Logs
from flower.database.store.overview import Overview
from flower.database.store.pauses import Pauses
from flower.database.store.pictures import Pictures
from flower.database.store.schedules import Schedules
from flower.database.store.signals import Signals
from flower.database.store.tasks import Tasks
from flower.database.store.verbs import Verbs
from flower.database.store.workers import Workers
from flower.database.store.workflows import Workflows

__all__ = ["Store"]


class Store:
    """All statements of Flower over one pool."""

    def __init__(self, pool: Pool) -> None:
        self.changes = Changes(pool)
        self.cycle = Cycle(pool)
        self.due_schedules = DueSchedules(pool)
        self.flows = Flows(pool)
        self.incidents = Incidents(pool)
        self.limits = Limits(pool)
        self.logs = Logs(pool)
        self.pauses = Pauses(pool)
        self.pictures = Pictures(pool)
        self.signals = Signals(pool)
        self.tasks = Tasks(pool)
        self.overview = Overview(pool)
        self.schedules = Schedules(pool)
        self.verbs = Verbs(pool)
        self.workers = Workers(pool)
        self.workflows = Workflows(pool)

"""Incidents: failures that look alike."""

from __future__ import annotations

import json
from dataclasses import dataclass

import asyncpg

from flower.core.errors import AmbiguousIncident, UnknownIncident
from flower.core.model import Incident, Json
from flower.database.pool import Pool
from flower.database.queries import query

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Tiding:
    """An incident to be told of. *event*: `opened` or `closed`."""

    id: str
    event: str
    what: Json


class Incidents:
    """Sends the statements about incidents."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, limit: int | None = None) -> tuple[Incident, ...]:
        """Return the incidents that there are, up to *limit*, the latest first."""
        return tuple(_incident(row) for row in await self._pool.fetch(query("incidents"), limit))

    async def flows(self, reference: str) -> tuple[str, ...]:
        """Return the flows with a suspended task of the incident whose id is, or begins like, *reference*. Raises UnknownIncident."""
        rows = await self._pool.fetch(query("incident_flows"), reference) if reference else ()
        found = sorted({row["fingerprint"] for row in rows})
        if not found:
            raise UnknownIncident(reference)
        if len(found) > 1:
            raise AmbiguousIncident(reference, found[:_MOST_NAMED])
        return tuple(row["flow_id"] for row in rows)

    async def to_tell(self, most: int) -> tuple[Tiding, ...]:
        """Take up to *most* incidents that came or are over and were not told yet; nobody else takes them for the next half minute."""
        rows = await self._pool.fetch(query("incidents_to_tell"), most)
        return tuple(Tiding(row["id"], row["event"], json.loads(row["what"])) for row in rows)

    async def told(self, tiding: Tiding) -> None:
        """Note that *tiding* was delivered."""
        await self._pool.execute(query("incident_told"), tiding.id, tiding.event)


def _incident(row: asyncpg.Record) -> Incident:
    return Incident(
        id=row["id"],
        program=row["program"],
        type=row["type"],
        message=row["message"],
        where=row["place"],
        flows=row["flows"],
        tasks=row["tasks"],
        since=row["since"],
        latest=row["latest"],
        example=(row["flow_id"], row["seq"]),
    )

"""/flows: all flows, the newest first, by whatever a person looks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from flower.core.model import Flow
from flower.core.status import Status, Why
from flower.web.api.flows import FlowsQuery
from flower.web.drawing.marks import Mark, mark_of
from flower.web.keys import STORE
from flower.web.rendering import EVERYTHING, show
from flower.web.requests import moment, query

routes = web.RouteTableDef()

_WITHIN: Final = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_WITHIN_WORDS: Final = {"15m": "15 minutes", "1h": "hour", "24h": "24 hours", "7d": "7 days"}
_STATUSES: Final = (*(status.word for status in Status), *(why.value for why in Why))


def _moment(text: str) -> datetime | None:
    """Return what a field for a time says. A browser's script sends a zone; without one it is UTC, as the page shows it."""
    if not text:
        return None
    try:
        return moment(text)
    except ValueError:
        return moment(f"{text}Z")


Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class Looked(FlowsQuery, extra="forbid", frozen=True):
    """What is looked for: what the list of the interface takes, and what is easier to choose."""

    limit: int = Field(default=50, ge=1, le=100)
    since: Moment = None
    until: Moment = None
    within: Literal["", "15m", "1h", "24h", "7d"] = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One flow. *ended_at*: when it was over, or came to a stop. *bar*: how long it took or has taken, 0 to 100, of the longest on the page.

    *ended*: how many of its *tasks* are over.
    """

    flow: Flow
    mark: Mark
    seconds: float
    ended_at: datetime | None
    bar: int
    ended: int
    tasks: int


def wanted_of(looked: Looked, now: datetime) -> dict[str, Any]:
    """Return what the store is asked for."""
    wanted = looked.model_dump(include=set(FlowsQuery.model_fields))
    if looked.within:
        wanted["since"] = now - _WITHIN[looked.within]
    return {name: value or None for name, value in wanted.items()}


def rows_of(flows: tuple[Flow, ...], now: datetime) -> list[Row]:
    """Return *flows* as they are shown."""
    seconds = [max(0.0, ((_ended_at(flow) or now) - flow.registered_at).total_seconds()) if flow.registered_at else 0.0 for flow in flows]
    longest = max(seconds, default=0.0) or 1.0
    return [_row(flow, took, round(100 * took / longest)) for flow, took in zip(flows, seconds, strict=True)]


def _ended_at(flow: Flow) -> datetime | None:
    # One that stands still takes no longer, however long nobody looks at it.
    return flow.finished_at or flow.stopped_at


def _row(flow: Flow, seconds: float, bar: int) -> Row:
    ended = flow.counts[Status.FINISH.word] + flow.counts[Status.IGNORE.word]
    return Row(flow, mark_of(flow), seconds, _ended_at(flow), bar, ended, sum(flow.counts.values()))


@routes.get("/flows")
async def page(request: web.Request) -> web.Response:
    """List flows."""
    looked = query(request, Looked)
    now = datetime.now(UTC)
    chosen = {name: value for name, value in looked.model_dump(mode="json", exclude={"limit", "after"}).items() if value}
    found = await request.app[STORE].flows.list(**wanted_of(looked, now))
    return show(
        request,
        "flows.html",
        rows=rows_of(found.items, now),
        found=found,
        chosen=chosen,
        is_first=looked.after is None,
        statuses=_STATUSES,
        within=_WITHIN_WORDS,
        watch=EVERYTHING,
    )

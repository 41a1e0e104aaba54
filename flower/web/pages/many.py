"""/ask/many/{verb}: what would follow if many flows were rerun or cancelled, and the form that does it, one after the other. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from pydantic import Field

from flower.core.errors import FieldError, Invalid, UsageError
from flower.core.model import Flow
from flower.core.quantities import counted
from flower.database.store import Store
from flower.web.keys import PLANS, STORE
from flower.web.pages.ask import REASON
from flower.web.pages.flows import Looked, wanted_of
from flower.web.rendering import show
from flower.web.requests import query

routes = web.RouteTableDef()

# So many flows one form does something to, and of so many the plan is made before: each is a question to the database.
MOST: Final = 500
PLANNED: Final = 20
_PAGE = 100


class Chosen(Looked, extra="forbid", frozen=True):
    """Which flows: those named, those of an incident, or those that the list would show."""

    flow: tuple[str, ...] = Field(default=(), max_length=MOST)
    incident: str | None = Field(default=None, max_length=64)


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one flow. *refused*: why nothing would; *told* is empty where no plan was made."""

    flow_id: str
    workflow: str = ""
    told: str = ""
    refused: str = ""


@routes.get("/ask/many/{verb:rerun|cancel}")
async def many(request: web.Request) -> web.Response:
    """Show what a verb would do to many flows."""
    chosen, verb, store = query(request, Chosen), request.match_info["verb"], request.app[STORE]
    found, are_more = await _flows(store, chosen)
    async with request.app[PLANS]:
        planned = [await _plan(store, verb, flow_id) for flow_id in found[:PLANNED]]
    return show(
        request,
        "ask_many.html",
        verb=verb,
        planned=planned,
        unplanned=found[PLANNED:],
        many=len(found) - sum(bool(one.refused) for one in planned),
        refused=sum(bool(one.refused) for one in planned),
        are_more=are_more,
        boxes=[REASON],
    )


async def _flows(store: Store, chosen: Chosen) -> tuple[Sequence[str], bool]:
    """Return the ids of up to MOST flows, and whether there are more."""
    if chosen.flow:
        return tuple(dict.fromkeys(chosen.flow)), False
    if chosen.incident:
        found = await store.incidents.flows(chosen.incident)
        return found[:MOST], len(found) > MOST
    wanted = wanted_of(chosen, datetime.now(UTC)) | {"limit": _PAGE}
    if not any(value for name, value in wanted.items() if name != "limit"):
        raise Invalid([FieldError("flow", "choose flows, or say which by a filter: all that there are is never meant")])
    flows: list[str] = []
    after: str | None = None
    while len(flows) < MOST:
        page = await store.flows.list(**{**wanted, "after": after})
        flows += [flow.flow_id for flow in page.items]
        after = page.next
        # A part that ends because enough was looked at: what lies further back is for the next time.
        if after is None or page.searched_to is not None:
            break
    return flows[:MOST], after is not None


async def _plan(store: Store, verb: str, flow_id: str) -> Planned:
    flow = None
    try:
        flow = await store.flows.get(flow_id)
        if verb == "cancel":
            return _cancel(flow)
        plan = await store.verbs.rerun(flow_id, {"dryRun": True})
    except UsageError as error:
        return Planned(flow_id, flow.workflow if flow else "", refused=str(error))
    if plan.get("running"):
        return Planned(flow_id, flow.workflow, refused=f"{counted(len(plan['running']), 'task')} of it at work at this moment")
    return Planned(flow_id, flow.workflow, f"{counted(len(plan['run']), 'task')}, from {plan['run'][0]['name']}")


def _cancel(flow: Flow) -> Planned:
    left = flow.counts["wait"] + flow.counts["running"] + flow.counts["suspend"]
    if not left:
        return Planned(flow.flow_id, flow.workflow, refused="it is over: nothing of it is left to cancel")
    return Planned(flow.flow_id, flow.workflow, f"{counted(left, 'task')} will not run")

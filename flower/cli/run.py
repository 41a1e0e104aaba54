"""`run`: start a workflow of a module, run its tasks here, wait for the end and print its result."""

from __future__ import annotations

from typing import Annotated

import typer

from flower.cli.options import Database, read_parameters
from flower.cli.output import print_json, say
from flower.cli.surroundings import place, read, store_of
from flower.cli.surroundings import run as run_to_its_end
from flower.core.model import Json, Order


def run(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="Where the workflow is: a dotted name or a file (app.py)")],
    workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW]", help="Which one, if the module has several")] = None,
    *,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter; may be repeated")] = None,
    params: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="Parameters as a JSON object, or @file.json")] = None,
    database: Database = None,
) -> None:
    """Run a workflow in this process: start it, show its progress, print its result as JSON.

    The code of the module is written over what its workflows were. While it runs, this process is a worker like any other: other flows of
    the database that wait for these tasks are run as well.

    The exit status is 0 if the flow finished, 1 if a task failed or the flow was cancelled, 3 if it waits for a person.
    """
    from flower.sdk.modules import load

    load([module])
    parameters = read_parameters(param or (), params)
    raise typer.Exit(run_to_its_end(_run(_named(workflow), parameters, database), heard="info"))


def _named(workflow: str | None) -> str:
    from flower.sdk.registry import REGISTRY

    names = [found.name for found in REGISTRY.workflows()]
    if workflow is None and len(names) == 1:
        return names[0]
    if workflow is None or workflow not in names:
        asked = "which one?" if workflow is None else f"no {workflow!r}:"
        told = f"{asked} the module has {', '.join(names)}" if names else "the module has no workflow: write one with @workflow"
        raise typer.BadParameter(told, param_hint="WORKFLOW")
    return workflow


async def _run(workflow: str, parameters: dict[str, Json], database: str | None) -> int:
    async with place(read(database_url=database), may_create=True) as found:
        from flower.app import working
        from flower.cli.show import print_flow
        from flower.cli.waiting import DONE, exit_status, follow

        # At its end it keeps nobody waiting: what it runs of other flows of these tasks is handed back.
        settings = found.settings.model_copy(update={"grace": 0})
        async with working(settings, url=found.url), store_of(found) as store:
            registered = await store.flows.register(Order(workflow, parameters))
            say(f"{workflow} started; see it with: python -m flower show {registered.flow_id}")
            flow, tasks, said = await follow(found, store, registered.flow_id)
            status = exit_status(flow, tasks)
            if status == DONE:
                print_json((await store.flows.given(registered.flow_id)).result)
            else:
                print_flow(flow, tasks, said, as_json=False)
            return status

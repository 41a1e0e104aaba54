"""What a test knows of the Flower that is looked at."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flower.database.pool import Connection
from tests.engine.processes import SHORT, Process


@dataclass
class Site:
    """A process that serves, its database, and the folder in which its tasks look whether they may go on."""

    process: Process
    connection: Connection
    database_url: str
    folder: Path

    @property
    def url(self) -> str:
        return str(self.process.said("serve.ready")[0]["api"])

    async def start(self, workflow: str, **parameters: Any) -> str:
        """Return the id of a new flow."""
        return str(await self.connection.fetchval("SELECT flower_register($1, $2)", workflow, json.dumps(parameters)))

    def let(self, name: str) -> None:
        """Let the tasks go on that wait for *name*."""
        (self.folder / name).touch()

    async def stops(self, flow: str) -> None:
        """Wait until a flow needs a person."""
        while await self.connection.fetchval("SELECT status FROM flower_flows WHERE flow_id = $1", flow) != "suspend":
            await asyncio.sleep(0.02)

    async def restart(self) -> None:
        """Serve once more, at the same port."""
        port = self.url.rpartition(":")[2]
        self.process = Process(self.folder, self.database_url, "--port", port, module="shop.py", settings=SHORT)
        await self.process.begun()

    async def is_over(self, flow: str) -> bool:
        return await self.connection.fetchval("SELECT status FROM flower_flows WHERE flow_id = $1", flow) in {"finish", "ignore"}

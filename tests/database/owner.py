"""A process that keeps an embedded server running until its input ends: `python owner.py FOLDER [UID]`.

With UID it becomes that user first. (Everything is imported before: that user may not be able to read the interpreter's own folder.)
"""

import asyncio
import concurrent.futures.thread
import encodings.idna
import getpass
import os
import secrets
import signal
import stringprep
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncpg.connect_utils
import asyncpg.protocol

from flower.core.errors import ConfigurationError
from flower.database import embedded
from flower.database.cluster import Cluster
from flower.database.pool import connect

USED_LATER = (concurrent.futures.thread, encodings.idna, getpass, secrets, signal, stringprep, traceback, asyncpg)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(folder: Path) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with embedded.running(folder) as server:
        connection = await connect(server.url, role="cli")
        await connection.close()
        master = Cluster(folder).find()
        assert master is not None
        say(f"running {master.process.pid}")
        await reader.read()
    say("left")


if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
try:
    asyncio.run(main(Path(sys.argv[1])))
except ConfigurationError as error:
    say(f"refused {error}")
    sys.exit(78)

"""`python -m tests.faults [--seed N] [--short] [--publish] [NAME…]`: do these faults (all, without a name) and say what became of the tasks."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack

from flower.database.cluster import Cluster
from tests.faults.faults import FAULTS
from tests.faults.field import REAL, SHORT, Pace, field
from tests.faults.report import Result, publish


async def run(names: list[str], pace: Pace, seed: int) -> list[Result]:
    """Do one fault after the other, each on a database of its own."""
    results = []
    async with AsyncExitStack() as stack:
        servers: dict[object, Cluster] = {}
        for name in names:
            began, make = time.monotonic(), FAULTS[name].server
            if make not in servers:
                servers[make] = await stack.enter_async_context(make())
            async with field(servers[make], pace, seed) as place:
                await FAULTS[name].act(place)
                results.append(Result(FAULTS[name], await place.verdict(), place.notes, seed))
            print(results[-1].line(), flush=True)
            print(f"{name}: {'; '.join(results[-1].shortfalls) or 'all holds'} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seed", type=int, help="the same seed does the same to the same (a random one without)")
    parser.add_argument("--short", action="store_true", help="leases of 2 s and a thousand tasks, as the tests do it")
    parser.add_argument("--publish", action="store_true", help="write what was seen into docs/faults.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(FAULTS)}")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in FAULTS]
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    seed = random.randrange(10**6) if asked.seed is None else asked.seed
    results = asyncio.run(run(asked.names or list(FAULTS), SHORT if asked.short else REAL, seed))
    if asked.publish:
        publish(results)
    sys.exit(any(result.shortfalls for result in results))


if __name__ == "__main__":
    main()

"""Start a workflow from a script, and await its result. FLOWER_DATABASE_URL says where; whoever serves examples/etl.py there runs it.

FLOWER_DATABASE_URL=$(python -m flower url) python examples/start_sales.py
"""

from __future__ import annotations

import asyncio

import flower


async def main() -> None:
    """By name: this script does not import the tasks. With the module at hand it is `await sales.run(day=…)`, with its type."""
    flow = await flower.start("sales", {"day": "2026-02-28"}, key="sales of February")
    print(flow.id, await flow.result(timeout=30))


if __name__ == "__main__":
    asyncio.run(main())

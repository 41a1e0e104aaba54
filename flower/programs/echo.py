"""The ancestor's two programs that sleep, under its names and with its parameters."""

from __future__ import annotations

import asyncio
import random
from typing import Annotated

from pydantic import Field

from flower.sdk import context, task


@task(name="EchoRandomTimeSleep")
async def echo_random_time_sleep() -> dict[str, int]:
    """Sleep 1 to 5 whole seconds; return how many."""
    return await _sleep(random.randint(1, 5))  # noqa: S311 - no secret hangs on it


@task(name="EchoParamTimeSleep")
async def echo_param_time_sleep(SLEEP_TIME_SECOND: Annotated[int, Field(ge=0)]) -> dict[str, int]:  # noqa: N803 - the ancestor's name
    """Sleep so many whole seconds; return how many."""
    return await _sleep(SLEEP_TIME_SECOND)


async def _sleep(seconds: int) -> dict[str, int]:
    context().log.info("program.sleeps", seconds=seconds)
    await asyncio.sleep(seconds)
    return {"seconds": seconds}

"""`Hello`: the program of the built-in workflow `hello`. It finishes anywhere."""

from __future__ import annotations

from flower.sdk import task


@task(name="Hello")
async def hello(name: str = "world") -> str:
    """Return a greeting for *name*."""
    return f"Hello, {name}!"

"""Two tasks, one on the event loop and one in a thread.

In one terminal: python -m flower serve examples/app.py
In another: python -m flower psql < examples/app.sql (it defines the workflow resize_all), then: python -m flower start resize_all --wait
"""

from __future__ import annotations

from datetime import date
from urllib.parse import quote

from flower import context, task


@task
async def resize(url: str, width: int = 800) -> dict[str, str | int]:
    """Return where an image proxy serves the picture at *url* in this *width*."""
    context().log.info("picture.resized", width=width)
    return {"source": url, "width": width, "path": f"/resize/{width}/{quote(url, safe='')}"}


@task
def caption(title: str, taken: date, people: list[str] | None = None) -> str:
    """Return the line under a picture. A plain def may block: it runs in a thread of its own."""
    return f"{title}, {taken:%d %B %Y}" + (f", with {', '.join(people)}" if people else "")

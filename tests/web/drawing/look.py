"""Puts what is drawn into a page, for tests and for a look: `render("_graph.html", graph)`."""

from __future__ import annotations

from pathlib import Path

import jinja2

import flower.web
from flower.web.words import FILTERS

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(flower.web.__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(FILTERS)


def render(template: str, drawn: object) -> str:
    """Return what the macro `draw` of *template* makes of *drawn*."""
    return str(TEMPLATES.from_string(f"{{% from {template!r} import draw %}}{{{{ draw(drawn) }}}}").render(drawn=drawn))


def page(*parts: str, style: str = "") -> str:
    """Return a whole page of *parts*, looking like *style*."""
    return f"<!doctype html><meta charset=utf-8><title>drawn</title><style>{style}</style>" + "\n".join(parts)

"""How a value looks on a page: the filters of the templates. Whatever is no markup of ours is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup

from flower.core import shapes
from flower.core.escape import escape
from flower.core.figures import Count
from flower.core.masks import DEEPEST, mask
from flower.core.model import Json
from flower.core.quantities import between, counted, duration, size
from flower.core.steps import number

_LONGEST_ID = 14
_LONGEST_JSON, _MOST_VALUES = 20_000, 2_000
_TOO_LONG = "({:,} characters of JSON: too long to be shown here)"
_MOST_LINES, _LONGEST_BEGINNING = 3, 300
_ISO = re.compile(r"(?<!\d)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z)", re.ASCII)
_ISO_APART = re.compile(f"({_ISO.pattern})", re.ASCII)
_MOMENT = Markup('<time datetime="{}" title="{} UTC" data-shown="{}">{}</time>')


def when(moment: datetime | None) -> Markup:
    """Return *moment* as the browser shows it in the reader's own zone; without a script in UTC. Nothing for None."""
    return _moment(moment, "clock")


def ago(moment: datetime | None) -> Markup:
    """Return how long *moment* is ago, which the browser keeps counting; without a script the moment itself."""
    return _moment(moment, "ago")


def since(moment: datetime | None) -> Markup:
    """Return how long it is since *moment* as a duration that the browser keeps counting."""
    return _moment(moment, "since", between(moment, datetime.now(UTC)))


def _moment(moment: datetime | None, shown: str, text: str | None = None) -> Markup:
    if moment is None:
        return Markup()
    utc = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return _MOMENT.format(shapes.moment(moment), utc, shown, text or f"{utc} UTC")


def told(sentence: str) -> Markup:
    """Return *sentence* with the times in it as the browser shows them."""
    return Markup().join(_time_or_text(piece) for piece in _ISO_APART.split(sentence))


def _time_or_text(piece: str) -> str:
    try:
        return when(datetime.fromisoformat(piece)) if _ISO.fullmatch(piece) else plain(piece)
    except (ValueError, OverflowError):
        return plain(piece)  # it only looks like one


def json_text(value: Json) -> str:
    """Return *value* for people: its secrets masked, indented, a text with its line ends as they are, and only the beginning of what is very long."""
    shown = fit_to_show(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, indent=2)
    return plain(text if len(text) <= _LONGEST_JSON else f"{text[:_LONGEST_JSON]}…")


def fit_to_show(value: Json) -> Json:
    """Return *value* with its secrets masked, and only the beginning of what is very long."""
    return mask(_pruned(value, [_MOST_VALUES]))


def _pruned(value: Json, left: list[int], depth: int = 0) -> Json:
    """Return *value* without what comes after the first so many values in it, before anything of it is looked at: it may have a MiB."""
    left[0] -= 1
    if isinstance(value, str) and len(value) > _LONGEST_JSON:
        # Of JSON in a text, which may hold secrets, either all is shown or nothing.
        return _TOO_LONG.format(len(value)) if value.lstrip()[:1] in {"{", "["} else f"{value[:_LONGEST_JSON]}…"
    if not isinstance(value, dict | list) or depth > DEEPEST:
        return value
    if isinstance(value, dict):
        kept = {key: _pruned(item, left, depth + 1) for key, item in value.items() if left[0] > 0}
        return kept if len(kept) == len(value) else {**kept, "…": f"{len(value) - len(kept):,} more"}
    items = [_pruned(item, left, depth + 1) for item in value if left[0] > 0]
    return items if len(items) == len(value) else [*items, f"… {len(value) - len(items):,} more"]


def beginning(text: str) -> str:
    """Return the beginning of *text*, of a few lines at most, secrets masked."""
    whole = str(fit_to_show(text))
    shown = "\n".join(whole.splitlines()[:_MOST_LINES])[:_LONGEST_BEGINNING]
    return plain(shown if len(shown) == len(whole) else f"{shown}…")


def plain(text: object) -> str:
    """Return *text* with its control characters written out, which would be nothing to see."""
    return escape(str(text), keep_lines=True)


def short_id(flow_id: str) -> str:
    """Return the end of an id, which differs where many of one minute stand below each other."""
    return flow_id if len(flow_id) <= _LONGEST_ID else f"…{flow_id[-_LONGEST_ID + 1 :]}"


def in_path(text: object) -> str:
    """Return *text* as one part of a path."""
    return quote(number(text) if isinstance(text, Decimal) else str(text), safe="")


def address(text: str) -> str:
    """Return *text*, the name of a workflow, as the tail of a path: its slashes stay, unless a browser would climb by them."""
    climbs = not {".", ".."}.isdisjoint(text.split("/"))
    # One slash at the end is taken off where the path is read.
    return quote(text, safe="" if climbs else "/") + ("/" if text.endswith("/") else "")


def link(query: Mapping[str, Any], **changes: Any) -> str:
    """Return a link to the same page with *query*, changed; what is empty is left out."""
    given = {name: number(value) if isinstance(value, Decimal) else value for name, value in {**query, **changes}.items()}
    return "?" + urlencode({name: value for name, value in given.items() if value not in {None, ""}})


def many(count: int) -> str:
    """Return *count* with its thousands apart."""
    return f"{count:,}"


def count(value: Count) -> str:
    """Return how many, or that there are at least so many."""
    return f"{value.value:,}+" if value.more else f"{value.value:,}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "when": when,
    "ago": ago,
    "since": since,
    "told": told,
    "beginning": beginning,
    "json": json_text,
    "as_json": json.dumps,
    "plain": plain,
    "short_id": short_id,
    "in_path": in_path,
    "address": address,
    "link": link,
    "many": many,
    "count": count,
    "counted": counted,
    "size": size,
    "duration": duration,
    "number": number,
}

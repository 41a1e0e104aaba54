"""Log lines: one event is one line, nothing in it obeys a terminal, no secret and no parameter is in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from flower.core import log


@pytest.fixture(autouse=True)
def _unconfigured_afterwards() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def written(level: str = "info", layout: str = "json", **keys: Any) -> str:
    stream = io.StringIO()
    log.configure(level, layout, stream)
    log.get().info("task.finished", **keys)
    return stream.getvalue()


def test_a_json_line_has_time_level_event_and_keys() -> None:
    line = json.loads(written(flow="f", seq=1, seconds=0.5))
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "event": "task.finished", "flow": "f", "seq": 1, "seconds": 0.5}


def test_what_a_task_says_stays_one_line_in_both_formats() -> None:
    said = "a\nb\r\x1b[2J\x9b1m\u2028\x00"
    for layout in ("json", "console"):
        text = written(layout=layout, message=said)
        assert text.count("\n") == 1
        assert text.endswith("\n")
        assert not set("\r\x1b\x9b\u2028\x00") & set(text)


def test_values_that_json_cannot_say_do_not_lose_the_line() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for odd in (float("nan"), circle, object(), {1: b"x"}, "\ud800"):
        assert json.loads(written(odd=odd))["event"].strip("'") == "task.finished"


def test_secrets_and_parameters_are_masked() -> None:
    text = written(password="hunter2", stripe_api_key="sk", Authorization="Bearer x", parameters={"a": "private"}, tokens=3)
    line = json.loads(text)
    assert line["tokens"] == 3
    assert {line[key] for key in ("password", "stripe_api_key", "Authorization", "parameters")} == {"***"}


def test_events_below_the_level_are_not_written() -> None:
    assert written(level="warning") == ""


def test_an_exception_is_written_without_local_variables() -> None:
    stream = io.StringIO()
    for layout in ("json", "console"):
        log.configure("info", layout, stream)
        try:
            secret = "hun" + "ter2"
            int(secret[:0])
        except ValueError:
            log.get().exception("task.broke")
    assert "ValueError: invalid literal" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_logger_made_before_configure_obeys_it() -> None:
    early = log.get(worker="w")
    stream = io.StringIO()
    log.configure("info", "json", stream)
    early.info("worker.started")
    assert json.loads(stream.getvalue())["worker"] == "w"


def test_warnings_of_libraries_become_events() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    logging.getLogger("aiohttp.server").info("quiet")
    logging.getLogger("asyncio").error("Task %s was never retrieved", 7)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["event"], line["logger"], line["message"], line["level"]) == ("library.said", "asyncio", "Task 7 was never retrieved", "error")


def test_a_reader_that_went_away_stops_nobody() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    log.configure("info", "json", Gone())
    log.get().info("task.finished")


def test_auto_is_console_on_a_terminal_and_json_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure("info", "auto", stream)
    log.get().info("task.finished")
    assert "\x1b[" in stream.getvalue()
    assert written(layout="auto").startswith("{")

"""For the tests of those who write tasks: `context(attempt=2)`, `replay`, and what the pytest fixture `flower_app` hands out."""

from __future__ import annotations

from flower.testing.app import App, Ran, Run
from flower.testing.context import context
from flower.testing.replay import replay

__all__ = ["App", "Ran", "Run", "context", "replay"]

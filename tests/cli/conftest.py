"""What every test of the command line needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from typer.testing import CliRunner


@pytest.fixture
def runner() -> Iterator[CliRunner]:
    """Types commands in this process, and leaves its logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield CliRunner()
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()

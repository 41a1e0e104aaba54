"""examples/app.py, as a worker loads and runs it."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from flower.core.model import Claim
from flower.core.status import Status
from flower.engine.runner import Runner
from flower.sdk.modules import load
from flower.sdk.registry import REGISTRY

EXAMPLE = Path(__file__).parents[2] / "examples" / "app.py"


@pytest.mark.parametrize(
    ("program", "parameters", "result"),
    [
        (
            "resize",
            {"url": "https://example.org/a b.png", "width": "320"},
            {"source": "https://example.org/a b.png", "width": 320, "path": "/resize/320/https%3A%2F%2Fexample.org%2Fa%20b.png"},
        ),
        ("caption", {"title": "The cat", "taken": "2024-02-29", "people": '["Ada", "Grace"]'}, "The cat, 29 February 2024, with Ada, Grace"),
    ],
)
async def test_the_example_takes_its_parameters_as_text(
    monkeypatch: pytest.MonkeyPatch, program: str, parameters: dict[str, str], result: object
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    load([str(EXAMPLE)])
    runner = Runner(REGISTRY, threads=1)
    outcome = await runner.run(Claim("flow", Decimal(1), "resize_all", program, program, json.dumps(parameters), 1, uuid4()))
    runner.close()
    assert (outcome.status, json.loads(outcome.value or "")) == (Status.FINISH, result)

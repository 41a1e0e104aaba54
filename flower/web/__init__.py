"""The HTTP interface. Parses, makes one call, answers."""

from flower.web.application import create_app
from flower.web.connections import create_runner

__all__ = ["create_app", "create_runner"]

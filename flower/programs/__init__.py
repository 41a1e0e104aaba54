"""The built-in programs: the ancestor's three, and `Hello`. Importing this package registers them."""

from __future__ import annotations

from flower.programs.echo import echo_param_time_sleep, echo_random_time_sleep
from flower.programs.hello import hello
from flower.programs.http import http_post_request

__all__ = ["echo_param_time_sleep", "echo_random_time_sleep", "hello", "http_post_request"]

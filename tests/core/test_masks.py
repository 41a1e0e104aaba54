from __future__ import annotations

import json
from typing import Any

import pytest

from flower.core.masks import mask


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "smtp_password",
        "clientSecret",
        "Token",
        "X-Auth-Token",
        "api_key",
        "apiKey",
        "API-KEY",
        "stripe_api_key",
        "Authorization",
    ],
)
def test_what_is_called_like_a_secret_is_hidden_at_any_depth(key: str) -> None:
    shown = mask({"a": [{key: "canary", "url": "x"}], key: {"deep": ["canary"]}})

    assert shown == {"a": [{key: "***", "url": "x"}], key: "***"}


@pytest.mark.parametrize("key", ["passwords_file", "tokens", "keyboard", "key", "authorization_url", "author"])
def test_what_is_not_is_shown(key: str) -> None:
    assert mask({key: "open"}) == {key: "open"}


def test_text_that_is_json_itself_is_masked_too() -> None:
    shown = mask({"BODY": '{"user": "花", "token": "canary"}', "LIST": ' [{"password": "canary"}]', "TEXT": "{token: canary"})

    assert shown == {"BODY": '{"user": "花", "token": "***"}', "LIST": '[{"password": "***"}]', "TEXT": "{token: canary"}


def test_text_without_a_secret_keeps_its_very_form() -> None:
    assert mask('{"token_count":   1}') == '{"token_count":   1}'


@pytest.mark.parametrize("beside", ["1" + "0" * 5000, "[" * 100_000 + "]" * 100_000])
def test_a_secret_is_hidden_beside_what_python_cannot_read(beside: str) -> None:
    assert "canary" not in mask(f'{{"token": "canary", "n": {beside}}}')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_whatever_is_shown_can_be_written_as_json(value: Any) -> None:
    assert json.loads(json.dumps(mask(value), allow_nan=False))


def test_what_nests_too_deep_is_cut() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": [deep]}

    assert "…" in json.dumps(mask(deep), ensure_ascii=False)


def test_the_original_stays_as_it_was() -> None:
    original = {"a": {"token": "t"}}

    mask(original)

    assert original == {"a": {"token": "t"}}

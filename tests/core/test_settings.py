"""Settings that cannot work are refused when they are read."""

from __future__ import annotations

import pytest

from flower.core.errors import ConfigurationError
from flower.core.settings import read_settings
from tests.conftest import TEST_DATABASE_URL


@pytest.fixture(autouse=True)
def _no_setting_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEST_DATABASE_URL, raising=False)


@pytest.mark.parametrize("environ", [{"FLOWER_LEASE": "1"}, {"FLOWER_BEAT": "11"}, {"FLOWER_LEASE": "6", "FLOWER_BEAT": "3"}])
def test_a_beat_that_does_not_keep_the_lease_is_refused(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=r"FLOWER_BEAT: .* does not keep a lease"):
        read_settings()


@pytest.mark.parametrize("name", ["FLOWER_LEASE", "FLOWER_BEAT", "FLOWER_PROBE"])
@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_a_time_without_end_or_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=name):
        read_settings()

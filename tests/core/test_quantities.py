"""Short values as people read them."""

from __future__ import annotations

import pytest

from flower.core.quantities import size


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (812, "812 B"), (1024, "1.0 KiB"), (65_536, "64 KiB"), (2_576_980_378, "2.4 GiB"), (5 * 1024**5, "5120 TiB")],
)
def test_a_number_of_bytes_is_said_in_the_unit_that_fits(count: int, expected: str) -> None:
    assert size(count) == expected

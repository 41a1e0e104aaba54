"""Makes foreign text fit for a terminal and a log: whatever somebody stored, it is shown and never obeyed."""

from __future__ import annotations

import re

# C0, DEL and C1 are what a terminal may take for a command. Lone surrogates cannot be written at all.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNPRINTABLE_IN_A_BLOCK = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escape(text: str, *, keep_lines: bool = False) -> str:
    """Return *text* with every character that a terminal could obey written out in ASCII. *keep_lines* spares tabs and line ends."""
    return (_UNPRINTABLE_IN_A_BLOCK if keep_lines else _UNPRINTABLE).sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")

"""The limits that a task counts for, as its decorator says them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from inspect import Parameter, Signature

# As the database has it.
_LONGEST_BYTES = 512
_PARAMETER = re.compile(r"\{(\w+)\}")


def limits_of(limit: str | Sequence[str] | None, signature: Signature) -> tuple[str, ...] | None:
    """Return the names in *limit*, None if there are none. Raises ValueError for what can be none.

    `{customer}` in a name stands for what a task is called with, so it must be a parameter of *signature*.
    """
    if limit is None:
        return None
    names = (limit,) if isinstance(limit, str) else tuple(limit)
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for name in names:
        if not isinstance(name, str) or not name or "\0" in name or len(name.encode("utf-8", "replace")) > _LONGEST_BYTES:
            raise ValueError(f"limit={name!r}: a name of 1 to {_LONGEST_BYTES} bytes is needed")
        if "*" in name:
            raise ValueError(
                f"limit={name!r}: a task names a limit; a pattern with * stands where limits are set (python -m flower limit {name!r} 2)"
            )
        if name.startswith(("workflow:", "unique:")):
            raise ValueError(f"limit={name!r}: limits of these names count flows: @workflow(max_flows=…), or unique= where a flow is started")
        for key in _PARAMETER.findall(name):
            if key not in signature.parameters and not takes_any:
                raise ValueError(f"limit={name!r}: there is no parameter {key!r}; there are {', '.join(signature.parameters) or 'none'}")
        if set("{}") & set(_PARAMETER.sub("", name)):
            raise ValueError(f"limit={name!r}: between braces stands the name of a parameter, as in tenant:{{customer}}")
    return names or None

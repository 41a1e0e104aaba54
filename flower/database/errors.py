"""The one place that says what an error of asyncpg or of the operating system means. Used wherever we talk to PostgreSQL."""

from __future__ import annotations

import json
import os
import ssl

import asyncpg

from flower.core.errors import ConfigurationError, DatabaseFull, DatabaseLost, FieldError, FlowerError, Invalid, NotNow
from flower.database.url import parse, shown

# Beyond the connection classes: out of resources (53), operator intervention (57), a lock or a statement that took too long,
# a server that became a read-only standby, a plan that a migration made invalid. Trying again is right for all of them.
_PASSING_CLASSES = ("08", "53", "57")
_DISK_FULL = "53100"
_PASSING_STATES = frozenset({"25006", "25P03", "25P04", "55P03"})


def translate(error: BaseException, url: str) -> FlowerError | None:
    """Return what *error*, met while talking to *url*, means to Flower: DatabaseLost or ConfigurationError, in one plain sentence.

    None means that the statement or its values are at fault, not the connection. The sentence never has the password of *url*.
    """
    if isinstance(error, FlowerError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error, url)
    # A value that does not fit its type, or a wrong number of them: asyncpg has no class of its own for the second.
    if isinstance(error, asyncpg.exceptions.DataError) or (isinstance(error, asyncpg.InterfaceError) and "the server expects" in str(error)):
        return None
    return _from_client(error, url)


def refusal(error: asyncpg.PostgresError) -> str:
    """Return in one sentence, without any value of a row, that PostgreSQL refused a statement: its own words may hold parameters."""
    told = [f"{kind} {name}" for kind in ("constraint", "column", "table") if (name := getattr(error, f"{kind}_name", None))]
    return f"PostgreSQL refused a statement (SQLSTATE {error.sqlstate}{''.join(f', {part}' for part in told)}); its log says more"


def _from_client(error: BaseException, url: str) -> FlowerError | None:
    match error:
        case asyncpg.exceptions.ClientConfigurationError():
            return ConfigurationError(f"the database URL {shown(url)!r} is wrong: {error}")
        case ssl.SSLCertVerificationError():
            advice = f"name its authority with sslrootcert=FILE in {shown(url)}"
            return ConfigurationError(f"the certificate of {_place(url)} is not trusted ({error.verify_message}): {advice}")
        case PermissionError():
            return ConfigurationError(
                f"this user may not connect to {_place(url)} ({error.strerror}): run Flower as one who may, or correct --database"
            )
        case OSError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return DatabaseLost(f"{_place(url)} {_reason(error)}")
        case _:
            return None


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "did not answer in time"
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return "takes no writes just now: it is a standby, or set to read-only"
    number = error.errno if isinstance(error, OSError) else None
    return f"cannot be reached: {os.strerror(number) if number and number > 0 else error}"


def _from_server(error: asyncpg.PostgresError, url: str) -> FlowerError | None:
    state, message = error.sqlstate or "", error.args[0] if error.args else ""
    if state in {"28P01", "28000"}:
        return ConfigurationError(f"{_place(url)} refuses the login ({message}): correct user and password in {shown(url)}")
    if state == "3D000":
        name = parse(url).database
        return ConfigurationError(f"{_place(url)} has no database {name!r}: create it (createdb {name}), or correct the name in {shown(url)}")
    if state == _DISK_FULL:
        return DatabaseFull(f"{_place(url)} has no room on its disk: {message}")
    if state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES or isinstance(error, asyncpg.InvalidCachedStatementError):
        return DatabaseLost(f"{_place(url)} cannot do it just now: {message}")
    return None


def _place(url: str) -> str:
    try:
        return f"PostgreSQL at {parse(url).place}"
    except ConfigurationError:
        return "PostgreSQL"


def invalid(error: asyncpg.PostgresError) -> Invalid | None:
    """Return what our functions in the database refuse, and what it cannot store, as a request that is at fault; None for any other error."""
    if error.sqlstate == "FL422":
        return Invalid([FieldError(entry["path"], entry["message"]) for entry in json.loads(error.detail or "[]")])
    if isinstance(error, asyncpg.DataError):
        return Invalid([FieldError("", f"PostgreSQL cannot store this: {error}")])
    return None


def refused(error: asyncpg.PostgresError) -> Invalid | NotNow | None:
    """Return what our functions refuse, for good or at this moment; None for any other error, also for what they do not find: that its store says."""
    return NotNow(error.args[0]) if error.sqlstate == "FL409" else invalid(error)

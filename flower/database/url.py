"""What stands in a database URL, and how it may be shown. Opens no connection."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from flower.core.errors import ConfigurationError

_HIDDEN = "***"
_LOGIN = re.compile(r"^(?P<scheme>[\w+.-]*://)(?P<user>[^:@/]*):(?P<password>.*)@")
_SECRET_OPTION = re.compile(r"(?i)\b((?:ssl)?password\s*=\s*)('[^']*'|[^&\s]*)")
_FORM = "it looks like postgresql://user:password@host:5432/name, or postgresql:///name?host=/folder for a Unix socket"

# Words of libpq for the client side that asyncpg would hand on to the server, which knows none of them.
_CLIENT_OPTIONS = frozenset(
    {"application_name", "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name", "gssdelegation", "gssencmode"}
    | {"keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "replication", "require_auth"}
    | {"requiressl", "sslcertmode", "sslcompression", "sslsni", "tcp_user_timeout"}
)
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads. *dsn* is the URL as asyncpg takes it; *host* is a socket's folder if it begins with a slash."""

    dsn: str
    host: str
    port: int
    database: str
    user: str

    @property
    def place(self) -> str:
        """The server, for people: `localhost:5432`, or `the socket in /folder`."""
        if self.host.startswith("/"):
            return f"the socket in {self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def shown(url: str) -> str:
    """Return *url* without its password, for logs and messages. Never raises, also not for something that is no URL."""
    url = _LOGIN.sub(rf"\g<scheme>\g<user>:{_HIDDEN}@", url)
    if "://" not in url:
        url = re.sub(r":[^:@/\s]+@", f":{_HIDDEN}@", url)
    return _SECRET_OPTION.sub(rf"\g<1>{_HIDDEN}", url)


def parse(url: str) -> Address:
    """Return where *url* leads. Raises ConfigurationError, without the password in it, for a URL that cannot be right."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"the database URL {shown(url)!r} does not begin with postgresql://; {_FORM}")
    try:
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigurationError(f"the database URL {shown(url)!r} is malformed ({error}); {_FORM}") from None
    if parts.fragment or parts.netloc.count("@") > 1:
        raise ConfigurationError(f"the database URL {shown(url)!r} is malformed: in its password write # as %23, @ as %40, / as %2F")
    last = {name: values[-1] for name, values in options.items()}
    login, _, places = parts.netloc.rpartition("@")
    first_host, first_port = _split(places.split(",")[0])
    port = last.get("port", "").split(",")[0] or first_port or os.environ.get("PGPORT", "").split(",")[0] or "5432"
    # The value is not repeated: whoever forgot the @ has a password there.
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT):
        raise ConfigurationError(f"the port in the database URL is not a number from 1 to {_HIGHEST_PORT}; {_FORM}")
    user = unquote(login.partition(":")[0]) or last.get("user") or os.environ.get("PGUSER", "")
    kept = "&".join(pair for pair in parts.query.split("&") if pair.partition("=")[0] not in _CLIENT_OPTIONS)
    return Address(
        dsn=url.partition("?")[0] + (f"?{kept}" if kept else ""),
        host=unquote(first_host) or last.get("host", "").split(",")[0] or os.environ.get("PGHOST") or "localhost",
        port=int(port),
        database=unquote(parts.path[1:]) or last.get("dbname") or os.environ.get("PGDATABASE") or user,
        user=user,
    )


def _split(place: str) -> tuple[str, str]:
    """Return host and port of `host:port`, `host`, `[::1]:5432`."""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port

"""Whether a port can be listened on, and who has it if not."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from flower.core.errors import ConfigurationError
from flower.core.escape import escape

_LAST_PORT = 65535
_LISTENING = "0A"


class PortInUse(ConfigurationError):
    """Another process listens there. *free*: a port near it that nobody has."""

    def __init__(self, host: str, port: int) -> None:
        self.port, self.holder, self.free = port, _holder(port), _free_after(host, port)
        who = f" by {self.holder}" if self.holder else ""
        way_out = f"take another with --port {self.free}" if self.free else "take another with --port"
        super().__init__(f"port {port} of {host} is in use{who}: {way_out}, or be a worker without a port with --no-http")


def require_free(host: str, port: int) -> None:
    """Raise PortInUse, or ConfigurationError for a host or port that this process may not listen on. Port 0 is always free."""
    try:
        _bind(host, port)
    except socket.gaierror:
        raise ConfigurationError(f"--host {host}: no such address; 127.0.0.1 is this machine only, 0.0.0.0 is all of its networks") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise ConfigurationError(f"cannot listen on port {port} of {host}: {error.strerror}") from None


def _bind(host: str, port: int) -> None:
    for family, kind, protocol, _, address in dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)):
        try:
            wire = socket.socket(family, kind, protocol)
        except OSError:
            continue  # IPv6 is switched off here: the server will leave it out as well
        with wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wire.bind(address)


def _free_after(host: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + 20, _LAST_PORT) + 1):
        try:
            _bind(host, candidate)
        except OSError:
            continue
        return candidate
    return None


def _holder(port: int) -> str | None:
    """Return the process that listens on *port* as `process 123 (its command)`. None where the system does not tell."""
    try:
        inodes = _listening(port)
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and _has_open(process, inodes):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"process {process.name} ({escape(' '.join(command.split())[:60])})"
    except OSError:
        pass
    return None


def _listening(port: int) -> set[str]:
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]]
    return {f"socket:[{line[9]}]" for line in lines if line[3] == _LISTENING and int(line[1].rpartition(":")[2], 16) == port}


def _has_open(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(entry.readlink()) in inodes for entry in (process / "fd").iterdir())
    except OSError:
        return False  # another user's, or it has just ended

"""Decides which hosts a task may call, and makes sure that the address which was checked is the one that is called."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from flower.core.errors import ProgramFailed

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Reach:
    """Which hosts may be called: any, or those of *allow* (`host` or `host:port`). Link-local addresses never."""

    allow: tuple[str, ...] = ()
    any_host: bool = False

    def check(self, url: URL) -> None:
        """Raise ProgramFailed if the host of *url* may not be called. Its addresses are checked when they are known."""
        host = (url.host or "").rstrip(".").lower()
        is_allowed = self.any_host or any(_is_same(host, url.port, allowed) for allowed in self.allow)
        if not is_allowed:
            raise ProgramFailed(f"{shown(url)}: {host!r} is not in FLOWER_HTTP_ALLOW, and others are called only while Flower listens on loopback")
        literal = _parse(host)
        if literal is not None and is_link_local(literal):
            raise ProgramFailed(f"{shown(url)}: {_REFUSAL}")


class Refused(OSError):
    """An address may not be called."""


class CheckedResolver(AbstractResolver):
    """Looks names up, and refuses one that has any link-local address. aiohttp connects to the addresses it returns."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of *host*. Raises Refused."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            _check_address(each["host"])
        return found

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def checked_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for *address* as getaddrinfo gives it: the last look before a connection, whatever way led here. Raises Refused."""
    family, kind, protocol, _, target = address
    _check_address(target[0])
    return socket.socket(family, kind, protocol)


def is_link_local(address: _Address) -> bool:
    """Whether *address* is link-local, also as IPv4 inside an IPv6 address (mapped, compatible, NAT64, 6to4)."""
    if address.is_link_local:
        return True
    return isinstance(address, ipaddress.IPv6Address) and any(inner.is_link_local for inner in _inner(address))


def shown(url: URL) -> str:
    """Return *url* as it may be shown: without its password."""
    return str(url.with_password("***") if url.password else url)


_REFUSAL = "link-local addresses (169.254.0.0/16, fe80::/10) are never called: they lead to the machine's own secrets"


def _inner(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    number = int(address)
    found = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
    if address in _COMPATIBLE or any(address in network for network in _NAT64):
        found.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    if address in _NAT64[1]:
        # RFC 6052, 2.2: under a /48 the address stands in bits 48 to 63 and 72 to 87.
        found.append(ipaddress.IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF))
    return found


def _check_address(text: str) -> None:
    address = _parse(text)
    if address is None or is_link_local(address):
        raise Refused(_REFUSAL if address is not None else f"{text!r} is no address that can be checked")


def _parse(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    # The system also takes 2852039166 and 0251.0376.0251.0376 for addresses.
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def _is_same(host: str, port: int | None, allowed: str) -> bool:
    allowed = allowed.rstrip(".").lower()
    return allowed in {host, f"{host}:{port}", f"[{host}]:{port}", f"[{host}]"}

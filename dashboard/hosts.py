"""Which names this server answers to: a page on a name of its own that leads here (DNS rebinding) gets nothing."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

HOSTS_VARIABLE = "ENGINEROOM_HOSTS"
ANY = "*"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names besides those of this machine for itself; `*.example.org` stands for all below, `*` for any."""

    names: frozenset[str] = frozenset()

    def answer(self, header: str) -> bool:
        """Whether a request with this Host header is meant for this server."""
        found = _HOST.fullmatch(header)
        if not found:
            return False
        name = found[1].strip("[]").lower().rstrip(".")
        if name == "localhost" or _is_loopback(name) or name in self.names or ANY in self.names:
            return True
        return any(known.startswith("*.") and name.endswith(known[1:]) for known in self.names)


def configured_hosts(more: Iterable[str | None] = ()) -> Hosts:
    """The names in ENGINEROOM_HOSTS, separated by commas, and `more`: each a name, an address or a URL."""
    listed = os.environ.get(HOSTS_VARIABLE, "").split(",")
    return Hosts(frozenset(name for one in (*listed, *more) if one and (name := _name(one.strip()))))


def _name(text: str) -> str:
    found = urlsplit(text).hostname if "://" in text else text
    return (found or "").strip("[]").lower().rstrip(".")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

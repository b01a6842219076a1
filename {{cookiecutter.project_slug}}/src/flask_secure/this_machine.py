"""Whether a request comes from a client on this machine, such as the developer's browser."""

from collections.abc import Mapping
from typing import Any

# What a reverse proxy or a tunnel adds: then the request comes from elsewhere.
FORWARDED = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Real-IP",
    "Via",
    "CF-Connecting-IP",
    "True-Client-IP",
)
VARIABLES = [f"HTTP_{name.upper().replace('-', '_')}" for name in FORWARDED]


def is_from_this_machine(environ: Mapping[str, Any]) -> bool:
    """Whether the client of the WSGI environment `environ` is on this machine."""
    if not is_loopback(environ.get("REMOTE_ADDR")):
        return False
    return not any(name in environ for name in VARIABLES)


def is_loopback(address: object) -> bool:
    return address == "::1" or str(address).startswith("127.")


def is_local_host(host: str) -> bool:
    """Whether `host`, a Host header, names this machine: no other site's name leads here then."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] == "[::1"
    name = name.partition(":")[0]
    return name in ("localhost", "127.0.0.1") or name.endswith(".localhost")

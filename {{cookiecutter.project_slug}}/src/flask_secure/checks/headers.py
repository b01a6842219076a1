"""Checks of the security headers. What each prevents: OWASP's Secure Headers Project."""

import re
from collections.abc import Callable, Iterator

from ..loading import Record
from ..policies import HEADERS
from ..sent import HSTS, headers_of, is_header, is_header_text
from . import Wrong, check

MAX_AGE = re.compile(r'(?:^|;)\s*max-age\s*=\s*"?(\d+)"?\s*(?:;|$)', re.IGNORECASE)

# The settings that send a policy, by the names of their headers.
POLICIES = {name.lower(): setting for setting, name in HEADERS.items()}

HALF_A_YEAR = 15_768_000  # seconds, the least that Mozilla's HTTP Observatory accepts
GOOD_HSTS = "max-age=31536000"

# With no-referrer, the Origin of the service's own forms would be "null".
REFERRERS = (
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
)


@check("header-format", at_startup=True)
def header_format(record: Record) -> Iterator[Wrong]:
    """A line break would begin another header. Two headers with one policy could disagree."""
    for name, value in (record.config["SECURITY_HEADERS"] or {}).items():
        if not is_header(name, value):
            message = f"SECURITY_HEADERS has {name!r}: {value!r}, which is not a header"
            yield Wrong(message, record.fix_item("SECURITY_HEADERS", str(name), None))
        elif name.lower() in POLICIES:
            message = f"SECURITY_HEADERS has {name}, beside {POLICIES[name.lower()]}"
            yield Wrong(message, record.fix_item("SECURITY_HEADERS", name, None))


@check("hsts-format", at_startup=True)
def hsts_format(record: Record) -> Iterator[Wrong]:
    """A line break would begin another header, and a comma would split the header in two."""
    value = record.config["STRICT_TRANSPORT_SECURITY"]
    if value and (not is_header_text(value) or "," in value):
        message = f"STRICT_TRANSPORT_SECURITY is {value!r}, which is not a header"
        yield Wrong(message, record.fix("STRICT_TRANSPORT_SECURITY", GOOD_HSTS))


@check("header-hsts", is_local=False)
def header_hsts(record: Record) -> Iterator[Wrong]:
    """If a visit starts over plain http, an attacker on the network can take it over."""
    setting = "STRICT_TRANSPORT_SECURITY"
    name, value = headers_of(record.config).get(HSTS.lower(), (HSTS, ""))
    found = MAX_AGE.search(str(value))
    if found and int(found[1]) >= HALF_A_YEAR:
        return
    is_setting = value == record.config[setting] or not value
    fix = record.fix(setting, GOOD_HSTS)
    if not is_setting:
        fix = record.fix_item("SECURITY_HEADERS", name, None)
    said = f"{name} is {value!r}" if value else f"{name} is not sent"
    yield Wrong(f"{said}; browsers should use https alone for half a year or more", fix)


def header_rule(
    id: str,
    name: str,
    good: str,
    is_good: Callable[[str], bool],
    reason: str,
    level: str = "error",
) -> None:
    """Register the check that a header is sent, and with a value that `is_good`."""

    @check(id, level=level, reason=reason)
    def rule(record: Record) -> Iterator[Wrong]:
        _, value = headers_of(record.config).get(name.lower(), (name, None))
        if value is not None and is_good(str(value).strip()):
            return
        said = f"{name} is not sent" if value is None else f"{name} is {value!r}"
        fix = record.fix_item("SECURITY_HEADERS", name, good)
        yield Wrong(f"{said}. {reason}", fix)


header_rule(
    "header-nosniff",
    "X-Content-Type-Options",
    "nosniff",
    lambda value: value.lower() == "nosniff",
    "Browsers would guess types, and could run a file that a visitor has uploaded as text.",
)
header_rule(
    "header-referrer",
    "Referrer-Policy",
    "same-origin",
    lambda value: value.lower() in REFERRERS,
    "Other sites would learn the URLs of your pages, or your own forms would send Origin: null.",
)
header_rule(
    "header-frame-options",
    "X-Frame-Options",
    "DENY",
    lambda value: value.upper() in ("DENY", "SAMEORIGIN"),
    "In browsers without frame-ancestors, another site could frame the page (clickjacking).",
    "warning",
)
header_rule(
    "header-coop",
    "Cross-Origin-Opener-Policy",
    "same-origin",
    lambda value: value.lower().startswith("same-"),
    "A site that opens this service in a window could control that window.",
    "warning",
)
header_rule(
    "header-corp",
    "Cross-Origin-Resource-Policy",
    "same-origin",
    lambda value: value.lower().startswith("same-"),
    "Another site could load responses into its own process, and read them there (Spectre).",
    "warning",
)
header_rule(
    "header-permissions",
    "Permissions-Policy",
    "camera=(), microphone=()",
    lambda value: "=()" in value,
    "An injected script or a frame could ask for the camera or the location.",
    "warning",
)


@check("header-cors")
def header_cors(record: Record) -> Iterator[Wrong]:
    """Any site's page could read every response."""
    name = "Access-Control-Allow-Origin"
    _, value = headers_of(record.config).get(name.lower(), (name, None))
    if value and not str(value).lower().startswith("https://"):
        message = f"{name} is {value}, so pages from there can read every response"
        fix = record.fix_item("SECURITY_HEADERS", name, "https://app.example.org")
        yield Wrong(message, fix)

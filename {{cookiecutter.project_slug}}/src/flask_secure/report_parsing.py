"""Reports of violations, as browsers send them. They are hostile input: anyone can send one.

Two formats: `application/csp-report` (CSP Level 3, 5.3: report-uri) and `application/reports+json`
(Reporting API: report-to). Of either only what is known is kept: a directive of a fixed list, and
for what was blocked a keyword or an origin. The page's URL is for matching alone.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CSP_REPORT = "application/csp-report"
REPORTS = "application/reports+json"

LONGEST_ORIGIN = 100  # characters; of a longer one nobody could tell what it is
ORIGIN = re.compile(
    r"((?:https?|wss?)://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
FETCHED = [
    "child",
    "connect",
    "default",
    "font",
    "frame",
    "img",
    "manifest",
    "media",
    "object",
    "prefetch",
    "script",
    "style",
    "worker",
]
DIRECTIVES = frozenset(
    [f"{name}-src" for name in FETCHED]
    + ["script-src-elem", "script-src-attr", "style-src-elem", "style-src-attr"]
    + ["base-uri", "form-action", "frame-ancestors", "sandbox", "navigate-to"]
    + ["require-trusted-types-for", "trusted-types"]
)
WITHOUT_URL = (
    "inline",
    "eval",
    "wasm-eval",
    "self",
    "trusted-types-policy",
    "trusted-types-sink",
    "data",
    "blob",
    "filesystem",
)
OTHER = "something else"


class MalformedReportError(ValueError):
    """Not a report of a violation."""


@dataclass(frozen=True)
class Report:
    """What a browser says: `blocked` is a word of WITHOUT_URL, an origin, or OTHER."""

    directive: str
    blocked: str
    page_url: str  # hostile, and secret: it is shown nowhere
    is_enforced: bool


def parse(body: bytes, mimetype: str) -> list[Report]:
    """The violations in the body of a request. Raises MalformedReportError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedReportError from None
    entries = [content] if mimetype == CSP_REPORT else content
    if not isinstance(entries, list):
        raise MalformedReportError
    members = of_csp_report if mimetype == CSP_REPORT else of_reporting_api
    found: list[Report] = []
    for entry in entries:
        if isinstance(entry, dict):
            found.extend(members(entry))
    return found


def of_csp_report(entry: dict[str, Any]) -> Iterator[Report]:
    """What report-uri is sent: {"csp-report": {...}}."""
    body = entry.get("csp-report")
    if isinstance(body, dict):
        directive = body.get("effective-directive") or body.get("violated-directive")
        yield from report(directive, body, "document-uri", "blocked-uri")


def of_reporting_api(entry: dict[str, Any]) -> Iterator[Report]:
    """What report-to is sent: {"type": "csp-violation", "body": {...}}."""
    body = entry.get("body")
    if entry.get("type") == "csp-violation" and isinstance(body, dict):
        yield from report(body.get("effectiveDirective"), body, "documentURL", "blockedURL")


def report(directive: Any, body: dict[str, Any], page: str, blocked: str) -> Iterator[Report]:
    """The report in `body`, if its directive is one."""
    words = directive.split() if isinstance(directive, str) else []
    if words and words[0] in DIRECTIVES:
        page_url = body.get(page)
        yield Report(
            words[0],
            what_was_blocked(body.get(blocked)),
            page_url if isinstance(page_url, str) else "",
            body.get("disposition") != "report",
        )


def what_was_blocked(value: Any) -> str:
    """A keyword, the origin of a URL, or OTHER."""
    if not isinstance(value, str):
        return OTHER
    scheme = value.partition(":")[0]
    if scheme in WITHOUT_URL:
        return scheme
    return origin_of(value) or OTHER


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of a URL in lower case; "" if it has none."""
    found = ORIGIN.fullmatch(url)
    origin = found[1].lower() if found else ""
    return origin if len(origin) <= LONGEST_ORIGIN else ""

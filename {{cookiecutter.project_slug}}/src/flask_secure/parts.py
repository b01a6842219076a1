"""The parts of the protection: an application that others wrote can take some, and leave the rest.

A part that is off sets nothing, checks nothing and asks for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .problems import Problem, StartupError


@dataclass(frozen=True)
class Part:
    """What one part does, which settings it has, and how the ids of its checks begin."""

    does: str
    settings: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


PARTS = {
    "key": Part(
        "checks the keys, installs the key ring, and re-signs sessions that older keys have signed",
        ("PERMANENT_SESSION_LIFETIME",),
        ("key-", "fallbacks-", "session-", "ring-"),
    ),
    "cookies": Part(
        "sets the prefix and the attributes of the session cookie",
        (
            "SESSION_COOKIE_NAME",
            "SESSION_COOKIE_PATH",
            "SESSION_COOKIE_DOMAIN",
            "SESSION_COOKIE_SECURE",
            "SESSION_COOKIE_HTTPONLY",
            "SESSION_COOKIE_SAMESITE",
        ),
        ("cookie-",),
    ),
    "headers": Part(
        "sends the policy and the other security headers; no-store if a session is used",
        (
            "CONTENT_SECURITY_POLICY",
            "CONTENT_SECURITY_POLICY_REPORT_ONLY",
            "CSP_REPORTS",
            "SECURITY_HEADERS",
            "STRICT_TRANSPORT_SECURITY",
        ),
        ("csp-", "header-", "hsts-", "reports-", "route-"),
    ),
    "csrf": Part(
        "rejects cross-site requests",
        ("CSRF_TRUSTED_ORIGINS", "CSRF_AUTHORIZATION_SCHEMES"),
        ("csrf-",),
    ),
    "hosts": Part(
        "responds only to its own host names; trusts proxies by count; lets health checks through",
        ("TRUSTED_HOSTS", "TRUSTED_PROXIES", "HEALTH_CHECKS"),
        ("hosts-", "proxies-"),
    ),
    "limits": Part(
        "limits the size of bodies and forms",
        ("MAX_CONTENT_LENGTH", "MAX_FORM_MEMORY_SIZE", "MAX_FORM_PARTS"),
        ("limit-",),
    ),
    "logs": Part("formats log lines, if nothing else has set up logging"),
    "toolbar": Part(
        "shows Flask-DebugToolbar in development, if it is installed",
        ("DEBUG_TB_INTERCEPT_REDIRECTS",),
        ("toolbar-",),
    ),
}
ALL = frozenset(PARTS)


def chosen(parts: Iterable[str] | None) -> frozenset[str]:
    """The parts that `init_app` is to take; None means all. Raises StartupError."""
    if parts is None:
        return ALL
    known = ", ".join(PARTS)
    if isinstance(parts, str | bytes) or not isinstance(parts, Iterable):
        message = f"parts is {parts!r}; it is a set of names"
        raise StartupError(Problem("parts-format", message, 'parts={"key", "cookies"}'))
    names = list(parts)
    for name in names:
        if name not in ALL:
            message = f"parts has {name!r}; it is one of {known}"
            raise StartupError(Problem("parts-format", message, f"Remove {name!r} from parts."))
    if not names:
        message = f"parts is empty; there are {known}"
        fix = "Leave parts out, which takes all of them; or remove init_app."
        raise StartupError(Problem("parts-format", message, fix))
    return frozenset(names)


def off(parts: frozenset[str]) -> list[str]:
    """The names of the parts that are not in `parts`, in the order of the table."""
    return [name for name in PARTS if name not in parts]


def settings_left_alone(parts: frozenset[str]) -> set[str]:
    """The settings of the parts that are off."""
    return {setting for name in off(parts) for setting in PARTS[name].settings}


def is_checked(id: str, parts: frozenset[str]) -> bool:
    """Whether the check `id` counts: it belongs to no part that is off."""
    return not any(id.startswith(PARTS[name].checks) for name in off(parts))


def part_of(setting: str) -> str:
    """The part that has `setting`; "" if none has."""
    for name, part in PARTS.items():
        if setting in part.settings:
            return name
    return ""


def table() -> str:
    """The parts as a table in Markdown, for README.md."""
    lines = ["| part | what it does | settings | checks |", "|---|---|---|---|"]
    for name, part in PARTS.items():
        settings = ", ".join(f"`{setting}`" for setting in part.settings)
        checks = ", ".join(f"`{prefix}*`" for prefix in part.checks)
        lines.append(f"| `{name}` | {part.does} | {settings} | {checks} |")
    return "\n".join(lines)

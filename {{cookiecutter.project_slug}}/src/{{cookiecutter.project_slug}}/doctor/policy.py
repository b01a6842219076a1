"""What a Content-Security-Policy leaves open (https://www.w3.org/TR/CSP3/)."""

import re
from collections.abc import Iterator

from .finding import ERROR, WARNING, Finding

WHERE = "  # in CONTENT_SECURITY_POLICY, config/default.py"

FETCH = [
    "default",
    "child",
    "connect",
    "font",
    "frame",
    "img",
    "manifest",
    "media",
    "object",
    "script",
    "style",
    "worker",
]
DIRECTIVES = {f"{kind}-src" for kind in FETCH} | {f"{kind}-src-{part}" for kind in FETCH for part in ("elem", "attr")}
DIRECTIVES |= {"base-uri", "form-action", "frame-ancestors", "sandbox", "report-to", "report-uri"}
DIRECTIVES |= {"require-trusted-types-for", "trusted-types", "upgrade-insecure-requests"}

# Sources that undo a directive, by the id of their finding; and where they do: in all, or where scripts come from.
BAD = {
    "csp-unsafe-inline": (r"'unsafe-inline'", ""),
    "csp-unsafe-eval": (r"'unsafe-eval'", ""),
    "csp-wildcard": (r"(https?://|wss?://)?\*|https?:|wss?:", ""),
    "csp-http": (r"(http|ws)://.+", ""),
    "csp-data": (r"data:|blob:", "default-src|script-src.*|object-src"),
}


def check(text: str, env: str) -> Iterator[Finding]:
    """What is wrong with the policy `text`, as a header has it; empty where none is sent."""
    if not text:
        cure = "CONTENT_SECURITY_POLICY = {...}  # in config/default.py, as the template has it"
        yield Finding("header-csp", ERROR, "Content-Security-Policy is not sent", cure)
        return
    policy = {words[0].lower(): words[1:] for part in text.split(";") if (words := part.split())}
    default = policy.get("default-src")
    for directive in ("base-uri", "form-action", "frame-ancestors"):
        if directive not in policy:
            problem = f"The policy has no {directive}, which default-src does not cover"
            yield Finding(f"csp-{directive}", ERROR, problem, line(directive, []))
    if policy.get("object-src") != ["'none'"]:
        level = WARNING if "object-src" not in policy and default == ["'none'"] else ERROR
        yield Finding("csp-object-src", level, "The policy does not rule out plug-ins", line("object-src", []))
    if default is None and "script-src" not in policy:
        problem = "The policy lets scripts come from anywhere"
        yield Finding("csp-script-src", ERROR, problem, line("default-src", []))
    for directive, sources in policy.items():
        if directive not in DIRECTIVES:
            problem = f"No browser knows {directive}"
            yield Finding("csp-unknown", WARNING, problem, f"# no line {directive}, but perhaps img-src{WHERE[3:]}")
        found = {id: [each for each in sources if is_bad(id, directive, each, env)] for id in BAD}
        good = [each for each in sources if not any(each in bad for bad in found.values())]
        for id, bad in found.items():
            for source in bad:
                is_passive = id in ("csp-wildcard", "csp-http") and not re.match("default|script|object", directive)
                level = WARNING if is_passive else ERROR
                yield Finding(id, level, f"{directive} allows {source}, which undoes it", line(directive, good))


def is_bad(id: str, directive: str, source: str, env: str) -> bool:
    """Whether `source` undoes `directive` in the way of `id`."""
    if id == "csp-http" and env == "development":
        return False  # other services on this machine
    bad, where = BAD[id]
    return re.fullmatch(bad, source) is not None and (not where or re.fullmatch(where, directive) is not None)


def line(directive: str, sources: list[str]) -> str:
    """The line of a policy that says `sources`."""
    wanted = ", ".join(f'"{source}"' for source in sources or ["'none'"])
    return f'"{directive}": [{wanted}],{WHERE}'

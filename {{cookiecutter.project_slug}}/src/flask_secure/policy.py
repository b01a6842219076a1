"""A Content-Security-Policy as a value: what it sends, what is wrong in it, and what undoes it.

Browsers compare directives, keywords and schemes without case (CSP Level 3, 2.3.1 and 6.7.2).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAME = re.compile("[a-z]+(-[a-z]+)*", re.IGNORECASE)
SOURCE = re.compile("[!-+.-:<-~-]+")  # printable, without the separators: space, comma, semicolon

# What a browser reads as a host name unless it is in quotes.
KEYWORDS = re.compile(
    "(self|none|unsafe-inline|unsafe-eval|unsafe-hashes|wasm-unsafe-eval|strict-dynamic"
    "|report-sample|inline-speculation-rules|(nonce|sha256|sha384|sha512)-.*)",
    re.IGNORECASE,
)

NONE = "'none'"
UNSAFE_INLINE = "'unsafe-inline'"
UNSAFE_KEYWORDS = (UNSAFE_INLINE, "'unsafe-eval'")
ANY_HOST = ("http:", "https:", "ws:", "wss:")
PLAIN_SCHEMES = ("http", "ws")
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
TAKE_A_NONCE = ("script-src", "style-src")
TAKE_A_NONCE_IF_THERE = ("script-src-elem", "style-src-elem")

# What a browser takes instead of a directive that is missing (CSP Level 3, 6.8.3), before
# default-src.
FALLBACKS = {
    "script-src-elem": ["script-src"],
    "script-src-attr": ["script-src"],
    "style-src-elem": ["style-src"],
    "style-src-attr": ["style-src"],
    "frame-src": ["child-src"],
    "worker-src": ["child-src", "script-src"],
}


@dataclass(frozen=True)
class Policy:
    """The sources of each directive, whose names are in lower case."""

    directives: Mapping[str, list[str]]

    @classmethod
    def of(cls, setting: Mapping[str, list[str]] | None) -> "Policy":
        """The policy that a setting describes; an empty one of None."""
        directives = {}
        for name, sources in (setting or {}).items():
            is_list = isinstance(sources, list | tuple)  # what is none is csp-format's to say
            directives[str(name).lower()] = list(sources) if is_list else []
        return cls(directives)

    def header(self, nonce: str = "") -> str:
        """The value of the header, with `nonce` for inline scripts and styles."""
        directives = dict(self.directives)
        for name in self.take_a_nonce() if nonce else ():
            directives[name] = [*self.sources(name), f"'nonce-{nonce}'"]
        return "; ".join(" ".join([name, *sources]) for name, sources in directives.items())

    def take_a_nonce(self) -> list[str]:
        """The directives that need a nonce. One that restricts nothing needs none."""
        names = [name for name in TAKE_A_NONCE if self.governing(name)]
        return names + [name for name in TAKE_A_NONCE_IF_THERE if name in self.directives]

    def sources(self, name: str) -> list[str]:
        """What a directive allows; one that is missing falls back to another."""
        found = self.directives.get(self.governing(name), [])
        return [source for source in found if source.lower() != NONE]

    def governing(self, name: str) -> str:
        """The directive that decides on what `name` is about; "" if none does."""
        is_fetch = name.endswith(("-src", "-src-elem", "-src-attr"))
        fallbacks = [*FALLBACKS.get(name, []), "default-src"] if is_fetch else []
        for each in [name, *fallbacks]:
            if each in self.directives:
                return each
        return ""

    def unsafe(self) -> Iterator[tuple[str, list[str]]]:
        """The directives with sources that undo them, and those sources."""
        for name, sources in self.directives.items():
            found = [source for source in sources if undoes(name, source)]
            if found:
                yield name, found


def undoes(directive: str, source: str) -> bool:
    """Whether `source` lets an attacker's code into what `directive` is about."""
    source = source.lower()
    if source in UNSAFE_KEYWORDS or source in ANY_HOST or source == "blob:":
        return True
    if source == "data:":
        return directive != "img-src"
    scheme, _, rest = source.rpartition("://")
    host = host_of(rest)
    return host == "*" or (scheme in PLAIN_SCHEMES and host not in THIS_MACHINE)


def host_of(text: str) -> str:
    """The host of `host:port/path`."""
    authority = text.partition("/")[0]
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def mistake(directives: Mapping[Any, Any]) -> str | None:
    """The first thing in a policy that would not mean what it says; None if there is none."""
    for name, sources in directives.items():
        if not is_directive(name):
            return f"{name!r} is not a directive"
        if not isinstance(sources, list | tuple):
            return f"the sources of {name} are {sources!r}, not a list"
        for source in sources:
            reason = mistake_in(source)
            if reason:
                return f"{name} has {source!r}, {reason}"
    return None


def is_directive(name: Any) -> bool:
    """Whether `name` is spelled as directives are; browsers ignore those that they do not know."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def mistake_in(source: Any) -> str | None:
    """Why `source` is not one source of a directive; None if it is."""
    if not isinstance(source, str):
        return "which is not text"
    if not SOURCE.fullmatch(source):
        return "which is not one source"
    if KEYWORDS.fullmatch(source):
        return f"which needs quotes: \"'{source}'\""
    return None

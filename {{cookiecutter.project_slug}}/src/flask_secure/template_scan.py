"""What a browser would block of templates, read as text: no template is rendered.

Jinja's tags are blanked first, so that an attribute between `{% if %}` and `{% endif %}` counts.
What an expression gives is not known, and not judged.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from .policy import UNSAFE_INLINE, Policy
from .report_parsing import origin_of

DYNAMIC = "\ue000"  # stands for what an expression gives
COMMENT_OR_TAG = re.compile(r"\{#.*?#\}|\{%.*?%\}", re.DOTALL)
EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
HANDLER = re.compile("on[a-z]+")
CODE_TYPES = ("", "module", "text/javascript", "application/javascript", "importmap")

SUFFIXES = (".html", ".htm", ".xhtml", ".jinja", ".jinja2", ".j2")
SKIPPED = ("node_modules", "site-packages", "__pycache__")

# The directive that governs what an attribute of an element loads.
LOADS = {
    ("script", "src"): "script-src-elem",
    ("img", "src"): "img-src",
    ("iframe", "src"): "frame-src",
    ("embed", "src"): "object-src",
    ("object", "data"): "object-src",
    ("audio", "src"): "media-src",
    ("video", "src"): "media-src",
    ("video", "poster"): "img-src",
    ("source", "src"): "media-src",
    ("track", "src"): "media-src",
    ("form", "action"): "form-action",
    ("button", "formaction"): "form-action",
    ("input", "formaction"): "form-action",
    ("base", "href"): "base-uri",
}
LINKS = {"stylesheet": "style-src-elem", "icon": "img-src", "manifest": "manifest-src"}

GUARD = "does not run: what it asks or prevents would happen without asking"


class Found(NamedTuple):
    """What a browser would do with one place of a template."""

    path: Path
    line: int
    message: str


def scan(folder: Path, policy: Policy) -> Iterator[Found]:
    """What `policy` would block of the templates below `folder`.

    An origin that a file with csp_override names may be allowed for its page, and is not judged.
    """
    overrides = text_of_overrides(folder)
    for path in templates(folder):
        text = text_of(path)
        page = Page(policy, overrides)
        page.feed(without_jinja(text))
        page.close()
        for line, message in page.found:
            yield Found(path, line, message)


def templates(folder: Path) -> Iterator[Path]:
    """The templates of an application and its blueprints: files below a folder of that name."""
    for path in own_files(folder):
        if "templates" in path.relative_to(folder).parent.parts and path.name.endswith(SUFFIXES):
            yield path


def text_of_overrides(folder: Path) -> str:
    """The Python files that change the policy of single views; they are read, not run."""
    found = []
    for path in own_files(folder):
        text = text_of(path) if path.suffix == ".py" else ""
        if "csp_override" in text:
            found.append(text)
    return "\n".join(found)


def text_of(path: Path) -> str:
    """The text of a file; "" if it has none, of which Jinja or Python speak when they load it."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def own_files(folder: Path) -> Iterator[Path]:
    """The files below `folder` that are the application's own."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_skipped(Path(place, name)))
        yield from (Path(place, name) for name in sorted(names))


def is_skipped(folder: Path) -> bool:
    """Whether a folder holds other people's code, such as a virtual environment."""
    if folder.name.startswith(".") or folder.name in SKIPPED:
        return True
    return (folder / "pyvenv.cfg").exists()


def without_jinja(text: str) -> str:
    """`text` without Jinja's tags, with as many lines."""
    text = COMMENT_OR_TAG.sub(lambda tag: " " + "\n" * tag[0].count("\n"), text)
    return EXPRESSION.sub(lambda tag: DYNAMIC + "\n" * tag[0].count("\n"), text)


class Page(HTMLParser):
    """Collects what `policy` would block, by line."""

    def __init__(self, policy: Policy, overrides: str = "") -> None:
        super().__init__()
        self.policy = policy
        self.overrides = overrides
        self.found: list[tuple[int, str]] = []
        self.inline: tuple[str, int] | None = None  # an inline element and its line
        self.content = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in given:
            if HANDLER.fullmatch(name) and self.blocks_inline("script-src-attr"):
                self.add(f"{name}= {GUARD}. Use a listener in a file")
        if "style" in given and self.blocks_inline("style-src-attr"):
            self.add("style= is ignored. Use a class")
        self.check_urls(tag, given)
        self.begin_inline(tag, given)

    def check_urls(self, tag: str, given: dict[str, str]) -> None:
        """Look at what the attributes of an element load."""
        has_nonce = "nonce" in given and tag in ("script", "link")
        for name, value in given.items():
            url = value.strip()
            if url.lower().startswith("javascript:") and self.blocks_inline("script-src-elem"):
                self.add(f"{name}=javascript: {GUARD}. Use a listener in a file")
            directive = what_loads(tag, name, given)
            if directive and not has_nonce:
                self.check_origin(directive, url)

    def check_origin(self, directive: str, url: str) -> None:
        """Look at one URL: one of another origin has to be named by the policy."""
        origin = origin_of(f"https:{url}" if url.startswith("//") else url)
        if not origin or DYNAMIC in origin or not self.policy.governing(directive):
            return
        is_named = any(allows(source, origin) for source in self.policy.sources(directive))
        if not is_named and origin not in self.overrides:
            verb = "sent to" if directive == "form-action" else "loaded from"
            self.add(f"nothing is {verb} {origin}, which {directive} does not name")

    def begin_inline(self, tag: str, given: dict[str, str]) -> None:
        """Begin an inline script or style that has no nonce."""
        is_script = tag == "script" and "src" not in given
        is_code = is_script and given.get("type", "").lower() in CODE_TYPES
        if (is_code or tag == "style") and "nonce" not in given:
            self.inline, self.content = (tag, self.getpos()[0]), ""

    def handle_data(self, data: str) -> None:
        self.content += data

    def handle_endtag(self, tag: str) -> None:
        if self.inline is None or self.inline[0] != tag:
            return
        line = self.inline[1]
        self.inline = None
        directive = f"{tag}-src-elem"
        if self.blocks_inline(directive) and not self.has_hash(directive):
            verb = "does not run" if tag == "script" else "is ignored"
            nonce = f'<{tag} nonce="{{{{ csp_nonce() }}}}">'
            self.found.append((line, f"the inline <{tag}> {verb}. Write {nonce}, or use a file"))

    def blocks_inline(self, directive: str) -> bool:
        """Whether the policy blocks inline code of a kind; hashes of attributes are believed."""
        if not self.policy.governing(directive):
            return False
        sources = [source.lower() for source in self.policy.sources(directive)]
        return UNSAFE_INLINE not in sources and "'unsafe-hashes'" not in sources

    def has_hash(self, directive: str) -> bool:
        """Whether the policy names the inline element that has just ended."""
        digest = base64.b64encode(hashlib.sha256(self.content.encode()).digest()).decode()
        return f"'sha256-{digest}'" in self.policy.sources(directive)

    def add(self, message: str) -> None:
        self.found.append((self.getpos()[0], message))


def what_loads(tag: str, name: str, given: dict[str, str]) -> str:
    """The directive that governs what an attribute loads; "" if it loads nothing."""
    if tag == "link" and name == "href":
        return LINKS.get(given.get("rel", "").lower(), "")
    return LOADS.get((tag, name), "")


def allows(source: str, origin: str) -> bool:
    """Whether a source of a policy names `origin` (CSP Level 3, 6.7.2.8), whatever the path."""
    scheme, _, host = origin.partition("://")
    source = source.lower()
    if source in ("*", f"{scheme}:"):
        return True
    named_scheme, _, rest = source.rpartition("://")
    if named_scheme not in ("", scheme):
        return False
    named = rest.partition("/")[0]
    if named.startswith("*."):
        return host.endswith(named[1:])
    return named == host

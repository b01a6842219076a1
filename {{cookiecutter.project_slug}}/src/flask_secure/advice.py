"""What to do about a violation of a policy: in words, and as a policy to copy.

What is copied is made of a report, which an attacker may have sent. So it is made only of one from
this machine and the service's own page (`is_own`), and never of what would undo the policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .policy import Policy, undoes

KEYWORDS = {"self": "'self'", "data": "data:", "wasm-eval": "'wasm-unsafe-eval'"}
GUARD = (
    "A guard that is gone: the inline event handler (onclick, onsubmit, ...) does not run, and what"
    " it asked or prevented happens without asking. Move it into a script file:"
    " element.addEventListener(...)."
)
INLINE_SCRIPT = (
    'Give the inline script a nonce, <script nonce="{{ csp_nonce() }}">, or move it into a file.'
    " A javascript: link becomes a listener in a file."
)
INLINE = {
    "script-src-attr": GUARD,
    "script-src-elem": INLINE_SCRIPT,
    "script-src": INLINE_SCRIPT,
    "style-src-attr": "Give the element a class, and style that in a file, instead of style=.",
    "style-src-elem": 'Give the styles a nonce, <style nonce="{{ csp_nonce() }}">, or a file.',
    "style-src": 'Give <style> a nonce, "{{ csp_nonce() }}", and use classes instead of style=.',
}
EVAL = "Text is run as code (eval, new Function, setTimeout of text): use a version that does not."
TRUSTED_TYPES = "Text becomes HTML or code: use textContent, or a policy that trusted-types names."
WITHOUT_SOURCE = {
    "frame-ancestors": "Another site frames the page: docs/policy.md says how a widget allows it.",
    "base-uri": "A <base> changes where links lead: write the links as they are meant.",
    "trusted-types": TRUSTED_TYPES,
    "require-trusted-types-for": TRUSTED_TYPES,
}
NOT_ALLOWED = "It can't be allowed without undoing the policy: serve it from a file of your own."
PLAIN_HTTP = "Load it over https: on the way, plain http can be changed by others."
NOT_OWN = "No page of this machine has reported it, so there is nothing to copy."
COPY = "If it is meant, allow it:"


@dataclass(frozen=True)
class Violation:
    """What a policy has blocked, or would have, on pages of one URL rule."""

    directive: str
    blocked: str
    page: str  # its URL rule: paths hold tokens
    is_enforced: bool
    is_own: bool  # from this machine, by a page of the service

    def __str__(self) -> str:
        verb = "blocks" if self.is_enforced else "would block"
        what = {"inline": "inline code", "self": "a file of the service's own"}
        blocked = what.get(self.blocked, self.blocked)
        if self.is_handler:
            blocked = "an inline event handler"
        return f"{self.directive} {verb} {blocked} on {self.page}"

    @property
    def is_handler(self) -> bool:
        return self.directive == "script-src-attr" and self.blocked == "inline"

    @property
    def source(self) -> str:
        """The source that would allow it, to be copied; "" if there is none to offer."""
        if not self.is_own or not takes_sources(self.directive):
            return ""
        source = KEYWORDS.get(self.blocked, "")
        if "://" in self.blocked:
            source = self.blocked
        return "" if source and undoes(self.directive, source) else source


def takes_sources(directive: str) -> bool:
    """Whether an origin may be added to `directive` to allow what it has blocked."""
    return directive.endswith(("-src", "-src-elem")) or directive == "form-action"


def what_to_do(violation: Violation) -> str:
    """One or two sentences."""
    directive, blocked = violation.directive, violation.blocked
    if blocked == "inline" and directive in INLINE:
        is_tried_guard = violation.is_handler and not violation.is_enforced
        return f"Once enforced: {GUARD}" if is_tried_guard else INLINE[directive]
    if blocked == "eval":
        return EVAL
    if directive in WITHOUT_SOURCE:
        return WITHOUT_SOURCE[directive]
    return COPY if violation.source else why_no_source(violation)


def why_no_source(violation: Violation) -> str:
    """Why there is no source to copy that would allow it."""
    if violation.blocked.startswith(("http://", "ws://")):
        return PLAIN_HTTP
    if "://" in violation.blocked or not violation.is_own:
        return NOT_OWN
    return NOT_ALLOWED


def to_copy(policy: Policy, violations: Iterable[Violation]) -> dict[str, list[str]]:
    """The directives of `policy` that allow what `violations` are about, with what they have."""
    found: dict[str, list[str]] = {}
    for each in violations:
        if each.source:
            name = directive_to_change(policy, each.directive)
            sources = found.setdefault(name, policy.sources(name))
            if each.source not in sources:
                sources.append(each.source)
    return found


def directive_to_change(policy: Policy, directive: str) -> str:
    """The one that the owner writes: script-src, unless there is a script-src-elem."""
    if directive in policy.directives:
        return directive
    return directive.removesuffix("-elem")

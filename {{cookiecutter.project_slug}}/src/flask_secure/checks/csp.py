"""Checks of the Content-Security-Policy."""

from collections.abc import Iterator
from typing import Any

from ..loading import Record
from ..policies import ENFORCED, REPORT_ONLY, directives, has_own_reporting, policy
from ..policy import KEYWORDS, NONE, Policy, is_directive, mistake, mistake_in
from . import Wrong, check

SETTING = ENFORCED


@check("csp-format", at_startup=True)
def csp_format(record: Record) -> Iterator[Wrong]:
    """Browsers would apply a policy that you did not mean."""
    for setting in (ENFORCED, REPORT_ONLY):
        for name, sources in directives(record.config, setting).items():
            found = mistake({name: sources})
            if found:
                good = repaired(sources) if is_directive(name) else None
                yield Wrong(f"In {setting}, {found}", record.fix_item(setting, str(name), good))


def repaired(sources: Any) -> list[str]:
    """What is meant by `sources`: keywords get their quotes, and what is not a source goes."""
    entries = sources.split() if isinstance(sources, str) else sources
    good = []
    for entry in entries if isinstance(entries, list | tuple) else []:
        if not mistake_in(entry):
            good.append(entry)
        elif isinstance(entry, str) and KEYWORDS.fullmatch(entry):
            good.append(f"'{entry}'")
    return good or ["'self'"]


@check("csp-unsafe")
def csp_unsafe(record: Record) -> Iterator[Wrong]:
    """An injected script runs, or a page loads code over plain http or from any host."""
    policy = Policy.of(record.config[SETTING])
    for directive, unsafe in policy.unsafe():
        good = [source for source in policy.directives[directive] if source not in unsafe]
        message = f"{directive} allows {' '.join(unsafe)}, which undoes it"
        yield Wrong(message, record.fix_item(SETTING, directive, good or [NONE]))


@check("csp-unheard", level="warning")
def csp_unheard(record: Record) -> Iterator[Wrong]:
    """A report-only policy blocks nothing, and if nobody collects its reports, it has no use."""
    tried = policy(record.config, REPORT_ONLY)
    if tried.directives and not record.config["CSP_REPORTS"] and not has_own_reporting(tried):
        message = f"{REPORT_ONLY} is sent, and nothing takes its reports"
        yield Wrong(message, record.fix("CSP_REPORTS", True))


def directive_rule(name: str, good: str, reason: str) -> None:
    """Register the check that the policy has a directive: what none names is allowed."""

    @check(f"csp-{name}", reason=reason)
    def rule(record: Record) -> Iterator[Wrong]:
        sources = Policy.of(record.config[SETTING]).directives.get(name)
        if not sources:
            message = f"The policy has no {name}. {reason}"
            yield Wrong(message, record.fix_item(SETTING, name, [good]))
        elif name == "object-src" and [source.lower() for source in sources] != [NONE]:
            message = f"object-src is {' '.join(sources)}. {reason}"
            yield Wrong(message, record.fix_item(SETTING, name, [good]))


directive_rule("default-src", "'none'", "Content of any other kind could come from anywhere.")
directive_rule("object-src", "'none'", "A plug-in could run code that scripts may not run.")
directive_rule("base-uri", "'none'", "An injected <base> could redirect scripts and links.")
directive_rule("form-action", "'self'", "An injected form could send passwords to another site.")
directive_rule("frame-ancestors", "'none'", "Another site could frame the page (clickjacking).")

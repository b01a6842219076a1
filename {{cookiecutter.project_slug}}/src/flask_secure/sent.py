"""What responses are sent: put together once, so that little is decided for each of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Config

from .environment import DEVELOPMENT
from .policies import ENFORCED, HEADERS, REPORT_ONLY, has_own_reporting, policy
from .policy import Policy

HSTS = "Strict-Transport-Security"
ENDPOINTS = "Reporting-Endpoints"

PATH = "/_csp_reports"  # where browsers send reports of violations
GROUP = "csp"  # the name of that place in Reporting-Endpoints

NONCE_PLACE = "\0"  # no source has one

NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)  # RFC 9110, 5.1


def is_header(name: Any, value: Any) -> bool:
    """Whether the two are a header."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None and is_header_text(value)


def is_header_text(value: Any) -> bool:
    """Whether `value` is text in one line of printable ASCII (RFC 9110, 5.5)."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


@dataclass(frozen=True, eq=False)
class PolicyChange:
    """What a view changes in the policies: sources that come, directives that go."""

    add: Mapping[str, list[str]]
    remove: tuple[str, ...]
    report_only: bool

    def of(self, policy: Policy) -> Policy:
        """`policy` with the change; nothing is added to one that is not sent."""
        kept = {name: list(each) for name, each in policy.directives.items()}
        if not kept:
            return policy
        for name in self.remove:
            kept.pop(name, None)
        smaller = Policy(kept)
        added = {name: [*smaller.sources(name), *sources] for name, sources in self.add.items()}
        return Policy({**kept, **added})


@dataclass(frozen=True)
class HeaderChange:
    """A header that a view sends with another value; None removes it."""

    name: str
    value: str | None


Change = PolicyChange | HeaderChange


class PolicyHeader:
    """A policy as a header, of which only the nonce and the path of reports are still open."""

    def __init__(self, name: str, policy: Policy, *, takes_reports: bool) -> None:
        self.name = name
        self.lower_name = name.lower()
        self.without_nonce = policy.header()
        self.with_nonce = policy.header(NONCE_PLACE)
        self.is_reported = takes_reports and not has_own_reporting(policy)

    def value(self, nonce: str | None, reporting: str) -> str:
        """The header's value; `reporting` is what the policy says of reports."""
        text = self.without_nonce
        if nonce is not None:
            text = self.with_nonce.replace(NONCE_PLACE, nonce)
        return text + reporting if self.is_reported else text


class Sent:
    """The headers of a response, and its policies by the names of their settings.

    `takes_reports` says whether the service takes reports of violations; an owner's own report-uri
    wins over that. `is_local` is of the environment.
    """

    def __init__(
        self,
        headers: Mapping[str, tuple[str, str]],
        policies: Mapping[str, Policy],
        *,
        takes_reports: bool,
        is_local: bool,
    ) -> None:
        self.by_name = headers
        self.by_setting = policies
        self.takes_reports = takes_reports
        self.is_local = is_local
        self.headers = list(headers.items())
        self.policies: list[PolicyHeader] = []
        for setting, each in policies.items():
            if each.directives:
                header = PolicyHeader(HEADERS[setting], each, takes_reports=takes_reports)
                self.policies.append(header)
        self.is_reported = any(each.is_reported for each in self.policies)
        self.names = {*headers, *(each.lower_name for each in self.policies)}
        # What most responses without a nonce are sent, put together here once.
        self.without_nonce = [header for _, header in self.headers]
        self.without_nonce += [(each.name, each.without_nonce) for each in self.policies]
        self.may_name_endpoint = not is_local and ENDPOINTS.lower() not in headers

    def missing(
        self, environ: Mapping[str, Any], nonce: str | None, given: set[str]
    ) -> list[tuple[str, str]]:
        """What a response is sent besides the headers that it has: `given`, in lower case."""
        if nonce is None and not self.is_reported and self.names.isdisjoint(given):
            return self.without_nonce
        found = [header for name, header in self.headers if name not in given]
        return found + self.policy_headers(environ, nonce, given)

    def policy_headers(
        self, environ: Mapping[str, Any], nonce: str | None, given: set[str]
    ) -> list[tuple[str, str]]:
        """The policies for the request of `environ`, but for those that are `given`.

        Over plain http browsers take no endpoint, and Chromium ignores report-uri beside
        report-to: so report-uri stands alone there, and in development.
        """
        found = []
        reporting = ""
        if self.is_reported:
            path = report_path(environ)
            reporting = f"; report-uri {path}"
            is_https = environ.get("wsgi.url_scheme") == "https"
            if is_https and self.may_name_endpoint and ENDPOINTS.lower() not in given:
                reporting += f"; report-to {GROUP}"
                found.append((ENDPOINTS, f'{GROUP}="{path}"'))
        for each in self.policies:
            if each.lower_name not in given:
                found.append((each.name, each.value(nonce, reporting)))
        return found

    def without(self, names: frozenset[str]) -> "Sent":
        """What is sent without the headers with these `names`, in lower case: others send them."""
        headers = {name: each for name, each in self.by_name.items() if name not in names}
        policies = {}
        for setting, each in self.by_setting.items():
            policies[setting] = Policy({}) if HEADERS[setting].lower() in names else each
        return Sent(headers, policies, takes_reports=self.takes_reports, is_local=self.is_local)

    def changed(self, changes: Iterable[Change]) -> "Sent":
        """What is sent with the changes of a view, one after the other."""
        headers, policies = dict(self.by_name), dict(self.by_setting)
        for each in changes:
            if isinstance(each, PolicyChange):
                policies = changed_policies(policies, each)
            elif each.value is None:
                headers.pop(each.name.lower(), None)
            else:
                headers[each.name.lower()] = (each.name, each.value)
        return Sent(headers, policies, takes_reports=self.takes_reports, is_local=self.is_local)


def changed_policies(policies: Mapping[str, Policy], change: PolicyChange) -> dict[str, Policy]:
    """The policies with the change: the enforced one is only tried, if it says so."""
    changed = {setting: change.of(policy) for setting, policy in policies.items()}
    if change.report_only and changed[ENFORCED].directives:
        return {ENFORCED: Policy({}), REPORT_ONLY: changed[ENFORCED]}
    return changed


def headers_of(config: Config) -> dict[str, tuple[str, str]]:
    """The headers that `config` asks for, but for the policies, by their names in lower case.

    SECURITY_HEADERS wins over STRICT_TRANSPORT_SECURITY. One of the two is sent: of several, a
    browser takes the first (RFC 6797, 8.1).
    """
    found = {}
    if config["STRICT_TRANSPORT_SECURITY"]:
        found[HSTS.lower()] = (HSTS, config["STRICT_TRANSPORT_SECURITY"])
    for name, value in (config["SECURITY_HEADERS"] or {}).items():
        found[str(name).lower()] = (name, value)
    return found


def of_config(config: Config) -> Sent:
    """What a response is sent unless its view has said otherwise."""
    return Sent(
        headers_of(config),
        {setting: policy(config, setting) for setting in (ENFORCED, REPORT_ONLY)},
        takes_reports=config["CSP_REPORTS"],
        is_local=is_local(config),
    )


def is_local(config: Config) -> bool:
    return bool(config["APP_ENV"] == DEVELOPMENT.name)


def report_path(environ: Mapping[str, Any]) -> str:
    """The path of reports, below the one that the application is mounted at."""
    mounted_at = environ.get("SCRIPT_NAME", "")
    return quote(mounted_at.encode("latin-1", "replace")) + PATH if mounted_at else PATH

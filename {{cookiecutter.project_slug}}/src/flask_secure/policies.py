"""The two policies of an application: the one that is enforced, and the one that is only tried.

A browser reports what a tried policy would block, and blocks nothing (CSP Level 3, 3.2).
"""

from collections.abc import Mapping
from typing import Any

from flask import Config

from .layers import DEFAULTS, run_pyfile
from .policy import Policy

ENFORCED = "CONTENT_SECURITY_POLICY"
REPORT_ONLY = "CONTENT_SECURITY_POLICY_REPORT_ONLY"

HEADERS = {
    ENFORCED: "Content-Security-Policy",
    REPORT_ONLY: "Content-Security-Policy-Report-Only",
}

# The directives that say where a browser sends its reports.
REPORTING = ("report-uri", "report-to")


def directives(config: Config, setting: str) -> dict[str, Any]:
    """What `setting` asks for, unchecked: True stands for the library's own policy."""
    value = config.get(setting)
    if value is True:
        return library_policy(config)
    return dict(value) if isinstance(value, Mapping) else {}


def library_policy(config: Config) -> dict[str, Any]:
    """The policy of defaults/default.py, whatever the owner has made of it."""
    return dict(run_pyfile(config, DEFAULTS / "default.py")[ENFORCED])


def policy(config: Config, setting: str) -> Policy:
    """The policy of a setting that has been checked; an empty one if nothing is to be sent."""
    return Policy.of(directives(config, setting))


def has_own_reporting(found: Policy) -> bool:
    """Whether the owner has said where reports of `found` go."""
    return any(found.directives.get(name) for name in REPORTING)

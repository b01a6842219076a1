"""The environment's variables, and settings whose value alone tells that something is wrong."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from flask import Flask

from .. import envfile, settings
from ..keys.ring import SINCE, VARIABLES
from ..keys.store import VARIABLE as STORE_VARIABLE
from ..logs.redaction import is_secret
from ..web.hosts import trusted_hosts, trusted_proxies
from .finding import ERROR, WARNING, Finding

KNOWN = ["APP_ENV", SINCE, STORE_VARIABLE, *VARIABLES, *(f"{name}_FILE" for name in VARIABLES), *settings.VARIABLES]
OTHERS = ("ACTIONS_", "AWS_", "CI_", "GITHUB_")  # what platforms set

# What people call them elsewhere.
ALIASES = {
    "APP_ENVIRONMENT": "APP_ENV",
    "FLASK_ENV": "APP_ENV",
    "FLASK_CONFIG": "APP_ENV",
    "ALLOWED_HOSTS": "TRUSTED_HOSTS",
    "APP_SECRET_KEY": "SECRET_KEY",
    "SECRETKEY": "SECRET_KEY",
}

OWN_SETTINGS = ["CONTENT_SECURITY_POLICY", "SECURITY_HEADERS", "STRICT_TRANSPORT_SECURITY", "CSRF_TRUSTED_ORIGINS"]

# The version of each package that has the last security fix known to this template, and what was wrong before.
FIXED = {
    "flask": ((3, 1, 3), "CVE-2026-27205: sessions read without Vary: Cookie"),
    "werkzeug": ((3, 1, 6), "CVE-2026-27199: Windows device names in paths"),
    "flask-debugtoolbar": ((0, 15), "jQuery 1, CVE-2020-11022"),
}


class Limit(NamedTuple):
    """A setting that limits what a request may bring: its finding's id, a sound value, and what is too much."""

    id: str
    sound: int
    maximum: int


LIMITS = {
    "MAX_CONTENT_LENGTH": Limit("limit-body", 2 * 1024 * 1024, 100 * 1024 * 1024),
    "MAX_FORM_MEMORY_SIZE": Limit("limit-form-memory", 512 * 1024, 16 * 1024 * 1024),
    "MAX_FORM_PARTS": Limit("limit-form-parts", 200, 10_000),
}
LONGEST_SESSION = timedelta(days=31)  # Flask's default


def check(env: str, given: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the variables `given`, and in development with those of .env."""
    assigned: list[str] = []
    if env == "development" and settings.ROOT:
        with suppress(OSError, envfile.EnvFileError):  # a finding of its own
            assigned = envfile.names((settings.ROOT / ".env").read_bytes())
    values = {**(settings.dotenv() if assigned else {}), **given}
    findings = []
    for name, value in sorted(values.items()):
        is_others = name in KNOWN or name.startswith(OTHERS)  # a key's is refused anyway
        is_ours = name in settings.VARIABLES or (is_secret(name) and not is_others)
        if not value and is_ours:
            findings.append(Finding("variable-empty", WARNING, f"{name} is set but empty", without(name, assigned)))
        near = ALIASES.get(name) or next(iter(get_close_matches(name, KNOWN, 1, 0.85)), None)
        if name not in KNOWN and near:
            findings.append(misspelt(name, near, without(name, assigned)))
    for name, times in Counter(assigned).items():
        if times > 1:
            cure = f"sed -i '0,/^{name}=/{{//d}}' {settings.ROOT}/.env"
            findings.append(Finding("variable-twice", WARNING, f"{name} is set twice in .env", cure))
    for name in settings.VARIABLES:
        if name in values and f"FLASK_{name}" in values:
            problem = f"{name} is set twice, as that and as FLASK_{name}"
            findings.append(Finding("variable-twice", WARNING, problem, without(f"FLASK_{name}", assigned)))
    return findings


def without(name: str, assigned: Collection[str]) -> str:
    """The line that takes a variable away; `assigned` are those of .env."""
    return f"sed -i '/^{name}=/d' {settings.ROOT}/.env" if name in assigned else f"unset {name}"


def misspelt(name: str, near: str, cure: str) -> Finding:
    """A variable that nothing reads."""
    return Finding("variable-misspelt", WARNING, f"Nothing reads {name}; did you mean {near}?", cure)


def check_settings(app: Flask, given: Mapping[str, str], is_here: bool) -> Iterator[Finding]:
    """What is wrong with the settings of `app`, which has nothing else yet."""
    yield from misspelt_settings(app)
    yield from limits(app)
    yield from lifetime(app)
    yield from versions()
    if app.config["APP_ENV"] == "production":
        yield from unheeded(app, given)
        yield from too_trusting(app)
        if is_here and find_spec("flask_debugtoolbar"):
            problem = "Flask-DebugToolbar is installed where production runs"
            yield Finding("toolbar-installed", WARNING, problem, "uv sync --no-dev")


def versions() -> Iterator[Finding]:
    """Packages older than their last security fix."""
    for package, (fixed, why) in FIXED.items():
        with suppress(PackageNotFoundError):
            if tuple(map(int, re.findall(r"\d+", version(package))[:3])) < fixed:
                wanted = ".".join(map(str, fixed))
                problem = f"{package} {version(package)} is older than {wanted} ({why})"
                yield Finding(f"version-{package}", ERROR, problem, f"pip install '{package}>={wanted}'")


def unheeded(app: Flask, given: Mapping[str, str]) -> Iterator[Finding]:
    """Settings for development: DEBUG and TESTING, which production does not heed, and those for exceptions."""
    layers = list(settings.files(app, "production"))
    for setting in ("DEBUG", "TESTING"):
        says = [layer for layer, values in layers if values.get(setting)]
        if given.get(f"FLASK_{setting}", "0").lower() not in ("", "0", "false"):
            says.append(f"FLASK_{setting}")
        for place in says:
            problem = f"{place} sets {setting}, which production does not heed; somebody may think that it does"
            cure = f"unset {place}" if place.startswith("FLASK_") else f"{setting} = False  # or no line, in {place}"
            yield Finding(setting.lower(), WARNING, problem, cure)
    for setting in ("PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS", "TRAP_BAD_REQUEST_ERRORS"):
        if app.config[setting]:
            problem = f"{setting} is on, so that the server, not the error page, answers what goes wrong"
            yield Finding("propagate", ERROR, problem, f"{setting} = None  # in {settings.layer_of(app, setting)}")


def too_trusting(app: Flask) -> Iterator[Finding]:
    """Hosts, proxies and origins of which more is believed than can be known."""
    with suppress(settings.StartupError):  # a finding of its own
        for host in trusted_hosts(app.config["TRUSTED_HOSTS"]):
            if host.startswith("."):
                level = ERROR if host.count(".") == 1 else WARNING
                problem = f"TRUSTED_HOSTS has {host}, so every name below it, whoever has that one"
                yield Finding("hosts-suffix", level, problem, f"export TRUSTED_HOSTS=www{host}")
        if (count := trusted_proxies(app.config["TRUSTED_PROXIES"])) > 3:
            problem = f"TRUSTED_PROXIES is {count}; where there are fewer, a client says what its address is"
            yield Finding("proxies-many", WARNING, problem, "export TRUSTED_PROXIES=1")
    for origin in app.config["CSRF_TRUSTED_ORIGINS"]:
        if str(origin).startswith("http:"):
            problem = f"CSRF_TRUSTED_ORIGINS has {origin}, whose pages anybody on the way can change"
            cure = f'"https{str(origin)[4:]}"  # in CSRF_TRUSTED_ORIGINS, config/default.py'
            yield Finding("csrf-http", WARNING, problem, cure)


def misspelt_settings(app: Flask) -> Iterator[Finding]:
    """Settings that nothing reads, though one has nearly that name."""
    known = [*Flask.default_config, *OWN_SETTINGS]
    for name in sorted(set(app.config) - set(known)):
        layer = settings.layer_of(app, name)
        near = next(iter(get_close_matches(name, known, 1, 0.88)), None)
        if near and layer.startswith("FLASK_") and f"FLASK_{name}" not in ALIASES:
            yield misspelt(f"FLASK_{name}", f"FLASK_{near}", f"unset FLASK_{name}")
        elif near and layer.endswith(".py"):
            yield misspelt(name, near, f"{near} = ...  # for {name}, in {layer}")


def limits(app: Flask) -> Iterator[Finding]:
    """Limits that are off, or as good as."""
    for setting, limit in LIMITS.items():
        value = app.config.get(setting)
        cure = f"{setting} = {limit.sound}  # in config/default.py"
        if (layer := settings.layer_of(app, setting)).startswith("FLASK_"):
            cure = f"unset {layer.split()[0]}"
        if value is not None and type(value) is not int:
            yield Finding(limit.id, ERROR, f"{setting} is {value!r}, which is no number: forms are answered 500", cure)
        elif not value or value < 0:
            yield Finding(limit.id, ERROR, f"{setting} is {value!r}, so a request may bring any amount", cure)
        elif value > limit.maximum:
            yield Finding(limit.id, WARNING, f"{setting} is {value}, which a few clients can fill memory with", cure)


def lifetime(app: Flask) -> Iterator[Finding]:
    """How long a session, and with it a stolen cookie, is valid."""
    cure = "PERMANENT_SESSION_LIFETIME = 31 * 24 * 60 * 60  # in config/default.py"
    try:
        valid = app.permanent_session_lifetime
    except (TypeError, OverflowError):
        yield Finding("session-lifetime", ERROR, "PERMANENT_SESSION_LIFETIME is no number of seconds", cure)
        return
    if valid <= timedelta(0):
        yield Finding("session-lifetime", ERROR, "PERMANENT_SESSION_LIFETIME is over at once", cure)
    elif valid > LONGEST_SESSION:
        yield Finding(
            "session-lifetime", WARNING, f"A session, and a stolen one too, is valid for {valid.days} days", cure
        )

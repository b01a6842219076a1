"""What is wrong with the settings of an environment, each with the line that mends it.

It works where the service refuses to start: what is missing then, a key or a host, has something that stands in
for it, so that the answers can be looked at all the same.
"""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from flask import Flask

from .. import create_app, settings
from ..keys.ring import mint
from . import files, keys, variables, web
from .finding import ERROR, Finding, refusal

# Variables by the beginnings of their names, and what stands in for them.
STAND_INS: list[tuple[tuple[str, ...], dict[str, str]]] = [
    ((), {}),
    (("SECRET_KEY", "FLASK_SECRET_KEY", "CREDENTIALS_DIRECTORY"), {"SECRET_KEY": mint()}),
    (("TRUSTED_HOSTS", "FLASK_TRUSTED_HOSTS"), {"TRUSTED_HOSTS": "localhost"}),
    (("TRUSTED_PROXIES", "FLASK_TRUSTED_PROXIES"), {"TRUSTED_PROXIES": "0"}),
    (("FLASK_CSRF_TRUSTED_ORIGINS",), {"FLASK_CSRF_TRUSTED_ORIGINS": "[]"}),
]


class Report(NamedTuple):
    """The findings in one environment, the errors first."""

    env: str
    findings: list[Finding]


def examine(asked: str | None = None) -> Report:
    """Examine the environment `asked`, or else the one that this process runs in."""
    given = dict(os.environ)  # what is set, before the lines of an .env are among it
    own = None
    with suppress(settings.StartupError):
        own = settings.choose_environment()
    try:
        env = settings.choose_environment(asked, "--env")
    except settings.StartupError as error:
        return Report(asked or "no environment", [refusal(error)])
    findings = variables.check(env, given)
    try:
        app = settings.configured(env)
    except settings.StartupError as error:
        return Report(env, [refusal(error), *findings])
    with quiet():
        started, refusals = start(env)
        findings += keys.check(app) if refusals else []
        findings += refusals
        if started:
            findings += [] if refusals else keys.ages(started)
            try:
                findings += web.check(started)
            except Exception as error:  # a setting of a type that nobody expects
                findings.append(failed(error))
    is_here = env == own and not is_bare()
    findings += variables.check_settings(app, given, is_here)
    findings += files.check(app, started, is_here)
    unique = {(each.id, each.problem): each for each in findings}.values()
    return Report(env, sorted(unique, key=lambda each: each.level != ERROR))


def is_bare() -> bool:
    """Whether this is a fresh clone, where nobody has said yet which environment it is."""
    return settings.ROOT is not None and "APP_ENV" not in os.environ and not (settings.ROOT / ".env").exists()


def start(env: str) -> tuple[Flask | None, list[Finding]]:
    """The service as `create_app` makes it, with one stand-in after another while it refuses; and why it did."""
    refusals: list[Finding] = []
    kept = dict(os.environ)
    os.environ.pop("FLASK_RUN_FROM_CLI", None)  # or the stand-ins would be taken for lines of an .env
    try:
        for replaced, stand_in in STAND_INS:
            for name in kept:
                if name.startswith(replaced):
                    del os.environ[name]
            os.environ |= stand_in
            try:
                return create_app(env), refusals
            except Exception as error:
                if not isinstance(error, settings.StartupError):
                    return None, [*refusals, failed(error)]
                # With a stand-in for the key, what is said of keys is of no use.
                if not refusals or not error.id.startswith(("key-", "fallbacks-")):
                    refusals.append(refusal(error))
        return None, refusals
    finally:
        os.environ.clear()
        os.environ |= kept


def failed(error: Exception) -> Finding:
    """An error that is nobody's refusal, by its place; its text may hold anything."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    problem = (
        f"The service does not start, or not answer: {type(error).__name__} in line {frame.lineno} of {frame.filename}"
    )
    return Finding("start-failed", ERROR, problem, settings.flask_command("run"))


@contextmanager
def quiet() -> Iterator[None]:
    """No logs: requests that are meant to be refused are logged as such."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)

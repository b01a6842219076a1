"""`observe`: what `init_app` would reject and replace, said in the log; nothing of it is done."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from . import adoption, dependencies, environment, layers, loading
from .checks import keys
from .checks.startup import at_startup
from .layers import APPLICATION, MERGED, Layer
from .loading import Record
from .observed import observe_policy
from .problems import Problem, StartupError, project_root
from .redaction import protect

log = logging.getLogger("flask_secure")

_observed: set[str] = set()  # the applications that this process has spoken of


def observe(app: Flask, env: str = "production", *, report: bool = True) -> None:
    """Say what `init_app` would reject and replace in `app`, and change nothing.

    `env` is the environment to judge by. It says so once a process, outside tests. Responses have
    one header more, the library's policy as one that is only tried, and one path takes what
    browsers report of it; `report=False` leaves both out. An error in it is a line in the log.
    Raises StartupError only if `app` has had `init_app` or `observe` before.
    """
    adoption.reject_second(app, "observe")
    adoption.mark(app, "observe")
    observe_policy(app, report=report)
    if app.testing or app.name in _observed:
        return
    _observed.add(app.name)
    log.warning("flask_secure only observes %s: observe() protects nothing", app.name)
    try:
        lines = list(findings(app, env))
    except Exception as error:  # of whatever the application is: it must not suffer from it
        log.warning("flask_secure.observe failed: %s", type(error).__name__)
        return
    for line in lines:
        log.warning("%s", line)


def findings(app: Flask, env: str) -> Iterator[str]:
    """The lines about `app`: what is rejected, what production alone asks for, what is replaced."""
    for problem in dependencies.problems():
        yield f"rejected: {problem.printable()}"
    record = examined(app, env)
    rejected = [problem for problem in problems_of(record) if problem.is_error]
    yield from rejections(rejected, record, env)
    yield from (f"replaced: {line}" for line in replaced(app, record))
    if not rejected:
        yield f"nothing is rejected in {env}"


def rejections(rejected: list[Problem], record: Record, env: str) -> Iterator[str]:
    """The lines about what start-up rejects; what development does not ask comes last."""
    asked_everywhere = {problem.id for problem in problems_of(in_development(record))}
    for problem in rejected:
        if problem.id in asked_everywhere:
            yield f"rejected: {problem.printable()}"
    for problem in rejected:
        if problem.id not in asked_everywhere:
            yield f"rejected in {env} alone: {problem.printable()}"


def examined(app: Flask, env: str) -> Record:
    """The record of the settings that `app` would get: no file is run, and .env is not read."""
    root = project_root(app.root_path)
    nowhere = Path(root, "observe-runs-no-file")
    config = Flask(app.name, root_path=app.root_path, instance_path=app.instance_path).config
    chosen = environment.find(env, nowhere, said_by="observe()", fix='observe(app, "production")')
    record = Record(config, chosen, "observe()", app.name, root, nowhere, nowhere, dotenv={})
    record.variables = dict(os.environ)
    record.origins = dict.fromkeys(config, "Flask")
    for name in ("default", env):
        loading.merge(record, layers.defaults(app, name, record.parts))
    loading.merge(record, Layer(APPLICATION, layers.set_by_application(app)))
    for layer in layers.of_variables(config, record.parts, record.variables):
        loading.merge(record, layer)
    loading.use_application_root(record)
    values: dict[str, Any] = {"APP_ENV": env, "TESTING": chosen.is_test}
    values["DEBUG"] = app.debug and chosen.is_local
    loading.merge(record, Layer("APP_ENV", values))
    return record


def in_development(record: Record) -> Record:
    return replace(record, environment=environment.DEVELOPMENT)


def problems_of(record: Record) -> list[Problem]:
    try:
        return at_startup(record)[1]
    except StartupError as error:
        return error.problems


def replaced(app: Flask, record: Record) -> Iterator[str]:
    """Each setting of `app` that would have another value, with both; of a key, only its place."""
    for name, value in app.config.items():
        now = record.config.get(name)
        if now == value or (name in MERGED and isinstance(value, dict)) or "SECRET_KEY" in name:
            continue
        yield f"{name}: {protect(name, value)!r}, would be {protect(name, now)!r}"
    ring, _ = keys.check(record)
    if ring is not None and app.config.get("SECRET_KEY") not in (None, ring.current):
        yield f"SECRET_KEY: that of the application, would be that of {ring.source.name}"

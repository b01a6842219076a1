"""flask-secure: a Flask application that is secure by default, in one call of `init_app`.

This folder is the template's: an update replaces it whole. README.md here says what it does.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from flask import Flask, request

from . import (
    adoption,
    csrf,
    dependencies,
    headers,
    hosts,
    limits,
    loading,
    logs,
    reports,
    ring,
    serving,
    sessions,
)
from . import parts as parts_module
from .checks.startup import at_startup
from .csrf import csrf_exempt as csrf_exempt
from .environment import is_strict as is_strict
from .headers import csp_nonce as csp_nonce
from .hosts import first_exact_host as first_exact_host
from .layers import has_own_files
from .logs import request_id as request_id
from .observing import observe as observe
from .problems import Problem as Problem
from .problems import StartupError as StartupError
from .problems import project_root as project_root
from .problems import quoted as quoted
from .report_copies import Copies
from .routes import csp_override as csp_override
from .routes import header_override as header_override
from .signing import Signer as Signer
from .signing import signer as signer

__version__ = "0.3.0"


def init_app(
    app: Flask,
    env: str | None = None,
    *,
    parts: Iterable[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Configure `app` and protect it.

    `env` names the environment: "development", "testing", "production", or one that has a file in
    config/. Without it APP_ENV decides, then `app.testing`, then the project's `.env` for the flask
    command; otherwise it is production. `parts` are the parts of the protection to take, by name;
    without it all of them. `settings` is a layer between the configuration files and the variables.
    Raises StartupError with every problem, each with what fixes it.
    """
    adoption.reject_second(app, "init_app")
    dependencies.reject_old()
    chosen = parts_module.chosen(parts)
    own = adoption.own_settings(app)
    record = loading.load(app, env, chosen, settings)
    keys, problems = at_startup(record)
    if any(problem.is_error for problem in problems):
        raise StartupError(*problems)
    app.extensions["flask_secure"] = replace(record, config=copy(app.config))  # as it was loaded
    lost = adoption.not_kept(record, own, keys)
    copies = Copies(app.config, record) if "headers" in chosen else None  # before the toolbar
    serving.reject_debugger(app, record)
    if "logs" in chosen:
        is_own_project = has_own_files(record.config_folder)
        logs.init_app(app, record.environment, is_own_project=is_own_project)
    if record.environment.is_local and "toolbar" in chosen:
        adoption.show_toolbar(app, record, keys, is_asked_for=parts is not None)
    if keys is not None:
        ring.install(app, keys)
        sessions.init_app(app)
    serving.init_app(app, record, keys)
    if "csrf" in chosen:
        csrf.init_app(app)
    wrap(app, chosen, copies, is_local=record.environment.is_local)
    app.before_request(guard_of(chosen))
    adoption.mark(app, "init_app")
    adoption.tell(record, lost)


def wrap(app: Flask, chosen: Iterable[str], copies: Copies | None, *, is_local: bool) -> None:
    """Put the WSGI middlewares around `app`, from the inside out: proxies are believed first."""
    if "limits" in chosen:
        limits.init_app(app)
    if "hosts" in chosen:
        hosts.init_app(app)
    if copies is not None:
        reports.init_app(app, copies, is_local=is_local)
        headers.init_app(app)
    if "hosts" in chosen:
        hosts.believe_proxies(app)


def guard_of(chosen: Iterable[str]) -> Callable[[], None]:
    """What a request has to pass before its view: one function, if there is anything to look at."""
    has_limits = "limits" in chosen
    has_csrf = "csrf" in chosen

    def guard() -> None:
        environ = request.environ
        if has_limits and "CONTENT_TYPE" in environ:
            limits.limit_form()
        if has_csrf and environ["REQUEST_METHOD"] not in csrf.SAFE_METHODS:
            csrf.reject_cross_site()

    return guard

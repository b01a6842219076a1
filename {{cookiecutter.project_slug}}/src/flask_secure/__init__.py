"""flask-secure: a Flask application that is safe from its first second, in one call of `init_app`.

This folder is the template's: an update replaces it whole. README.md beside this file says what it does.
"""

from flask import Flask

from . import keys, logs, sessions, settings, web
from .logs import request_id as request_id
from .problems import Problem as Problem
from .problems import StartupError as StartupError
from .web import csp_nonce as csp_nonce
from .web import csrf_exempt as csrf_exempt

__version__ = "0.3.0"


def init_app(app: Flask, env: str | None = None) -> None:
    """Configure `app` and protect it.

    `env` is "development", "testing" or "production". Without it APP_ENV decides, then the project's `.env`; where
    neither says, it is production. Raises StartupError with every problem, each with the command that fixes it.
    """
    settings.load(app, env)
    ring, problems = keys.check(app.config)
    problems += list(settings.check(app.config)) or web.check(app.config)
    if ring is None or any(problem.level == "error" for problem in problems):
        raise StartupError(*problems)
    if app.config["APP_ENV"] == "development":
        from . import toolbar  # its extension is a development dependency

        toolbar.init_app(app, ring)
    keys.init_app(app, ring)
    logs.init_app(app)
    app.session_interface = sessions.SessionInterface()
    web.init_app(app)

"""The service. `create_app` is the whole of its wiring."""

from flask import Flask

import flask_secure

from . import errors, health, pages


def create_app(env: str | None = None) -> Flask:
    """Build the service for `env`: "development", "testing", "production", or one of your own.

    Without it APP_ENV decides, then, for the flask command, the project's `.env`; otherwise it is
    production. Raises flask_secure.StartupError, each line of which names a problem and its fix.
    """
    app = Flask(__name__)
    flask_secure.init_app(app, env)
    errors.init_app(app)
    health.init_app(app)
    # % if cookiecutter.data != "nothing"
    from . import database

    database.init_app(app)
    # % endif
    # % if cookiecutter.data == "accounts"
    from . import accounts

    accounts.init_app(app)
    # % endif
    app.register_blueprint(pages.bp)
    return app

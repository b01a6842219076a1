"""The service. `create_app` is the whole of its wiring."""

from flask import Flask

import flask_secure

from . import errors, health, pages


def create_app(env: str | None = None) -> Flask:
    """Build the service for `env`: "development", "testing" or "production".

    Without it APP_ENV decides, then the project's `.env`; where neither says, it is production. Raises
    flask_secure.StartupError, each line of which names a problem and its fix.
    """
    app = Flask(__name__)
    flask_secure.init_app(app, env)
    errors.init_app(app)
    app.register_blueprint(pages.bp)
    app.register_blueprint(health.bp)
    return app

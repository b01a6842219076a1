"""The service. `create_app` is the whole of its wiring."""

from flask import Flask

import flask_secure

# % if cookiecutter.data == "accounts"
from . import accounts, database, errors, health, pages


# % elif cookiecutter.data == "database"
from . import database, errors, health, pages


# % else
from . import errors, health, pages


# % endif
def create_app(env: str | None = None) -> Flask:
    """Build the service for `env`: "development", "testing" or "production".

    Without it APP_ENV decides, then the project's `.env`; where neither says, it is production. Raises
    flask_secure.StartupError, each line of which names a problem and its fix.
    """
    app = Flask(__name__)
    flask_secure.init_app(app, env)
    errors.init_app(app)
    # % if cookiecutter.data != "nothing"
    database.init_app(app)
    # % endif
    # % if cookiecutter.data == "accounts"
    accounts.init_app(app)
    # % endif
    app.register_blueprint(pages.bp)
    app.register_blueprint(health.bp)
    return app

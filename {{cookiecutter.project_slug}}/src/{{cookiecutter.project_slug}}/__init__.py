"""The service. `create_app` is the whole of its wiring."""

from flask import Flask

from . import errors, health, keys, logs, pages, settings, web


def create_app(env: str | None = None) -> Flask:
    """Build the service for one environment.

    `env` is "development", "testing" or "production". Without it APP_ENV decides, then the
    project's `.env`; where none of them speaks, it is production.

    Raises `settings.StartupError`, whose one line names the cure, when a setting is wrong or
    the signing key is not good enough to start with.
    """
    env = settings.choose_environment(env)
    app = Flask(__name__, instance_path=settings.INSTANCE)
    settings.load(app, env)
    logs.init_app(app)
    keys.init_app(app)
    web.init_app(app)
    errors.init_app(app)
    app.register_blueprint(pages.bp)
    app.register_blueprint(health.bp)
    if env == "development":
        from . import toolbar  # its extension is installed for development alone

        toolbar.init_app(app)
    return app

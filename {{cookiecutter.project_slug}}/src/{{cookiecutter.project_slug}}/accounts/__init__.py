"""User accounts: `@login_required` for a view, `current_user()` in it.

What a visitor sees is in views.py and own_pages.py. What is bounded is in limits.py.
"""

from collections.abc import Iterator

from flask import Config, Flask

from flask_secure import Problem, StartupError

from .sessions import current_user as current_user
from .sessions import login_required as login_required
from .sessions import required_user as required_user
from .sessions import start_session as start_session


def init_app(app: Flask) -> None:
    """Give `app` its accounts: their pages, the limits on them, and `current_user` in templates.

    Raises StartupError if a setting of accounts can't be used.
    """
    from . import (
        commands,
        devices,
        forms,
        limits,
        outbox,
        passwords,
        service_url,
        sessions,
        settings,
    )
    from . import letters as letters  # which registers its letters
    from . import own_pages as own_pages  # which adds its views to the blueprint
    from . import views as views

    service_url.init_app(app)
    problems = list(settings.unusable(app.config))
    if problems:
        raise StartupError(*problems)
    passwords.init_app(app)
    limits.init_app(app)
    sessions.init_app(app)
    devices.init_app(app)
    outbox.init_app(app)
    commands.init_app(app)
    app.register_blueprint(forms.bp)
    app.add_template_global(current_user)


def check(config: Config) -> Iterator[Problem]:
    """What `flask doctor` says of accounts, besides its own."""
    from . import settings

    yield from settings.unusable(config)
    yield from settings.advice(config)

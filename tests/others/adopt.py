"""A plug-in of pytest: each application of a suite is taken in the way that ADOPT names.

Its session cookie keeps its name, as the README says: suites look for it.
"""

import os
from typing import Any

from flask import Flask

import flask_secure

original = Flask.__init__


def adopted(self: Flask, *arguments: Any, **options: Any) -> None:
    original(self, *arguments, **options)
    way = os.environ.get("ADOPT")
    if way == "observe":
        flask_secure.observe(self)
    elif way == "testing":  # without the library
        self.testing = True
    elif way == "init_app":
        flask_secure.init_app(self, "testing", settings={"SESSION_COOKIE_NAME": "session"})


Flask.__init__ = adopted  # type: ignore[method-assign]

"""Flask-DebugToolbar: for this machine alone, under the page's own policy, with a Security panel."""

from copy import copy
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask, abort, current_app, render_template_string, request
from werkzeug.exceptions import SecurityError

from . import doctor, keys
from .problems import Problem, StartupError

try:
    from flask_debugtoolbar import DebugToolbarExtension
    from flask_debugtoolbar.panels import DebugPanel
except ImportError:
    fix = "uv sync  # or: pip install flask-debugtoolbar"
    raise StartupError(Problem("toolbar-missing", "Flask-DebugToolbar is not installed", fix)) from None

# The inline script and styles of Flask-DebugToolbar 0.16. A test computes them again from the one that is installed.
SCRIPT = "'sha256-zWl5GfUhAzM8qz2mveQVnvu/VPnCS6QL7Niu6uLmoWU='"
STYLES = """'unsafe-hashes' 'sha256-0EZqoz+oBhx7gF4nvY2bSqoGyy4zLjNF+SDQXGp/ZrY='
    'sha256-1NkfmhNaD94k7thbpTCKG0dKnMcxprj9kdSKzKR6K/k=' 'sha256-biLFinpqYMtWHmXfkA1BPeCY0/fNt46SAZ+BBk5YUog='"""

# What a reverse proxy or a tunnel adds: then the request comes from elsewhere, whatever its address.
FORWARDED = "Forwarded X-Forwarded-For X-Forwarded-Host X-Real-IP Via CF-Connecting-IP True-Client-IP"


def init_app(app: Flask, ring: keys.KeyRing) -> None:
    """Put the toolbar into every page that is asked for from this machine. `app` has no keys yet."""
    shown: dict[str, Any] = app.extensions.setdefault("flask_secure.panel", {"ring": ring})
    config = copy(app.config)  # without the keys, which the doctor reads where they come from
    Thread(target=lambda: shown.update(problems=doctor.examine(config)), daemon=True).start()  # git may take long
    policy = dict(app.config["CONTENT_SECURITY_POLICY"] or {})
    policy |= {"script-src": [*policy.get("script-src", []), SCRIPT], "style-src-attr": STYLES.split()}
    app.config.update(CONTENT_SECURITY_POLICY=policy, DEBUG_TB_HOSTS=ThisMachine())
    keys.init_app(app, ring)  # without a key the extension does not start
    app.before_request(hide_from_others)
    DebugToolbarExtension(app)
    app.config["DEBUG_TB_PANELS"] = (f"{__name__}.Security", *app.config["DEBUG_TB_PANELS"])


class ThisMachine:
    """DEBUG_TB_HOSTS, which the toolbar asks whether the address of a request is in it."""

    def __contains__(self, address: object) -> bool:
        is_local = address == "::1" or str(address).startswith("127.")
        return is_local and not any(name in request.headers for name in FORWARDED.split())


def hide_from_others() -> None:
    if isinstance(request.routing_exception, SecurityError):
        raise request.routing_exception  # a host that is not trusted, for which the toolbar can't make its links
    if request.path.startswith("/_debug_toolbar/") and request.remote_addr not in ThisMachine():
        abort(404)


class Security(DebugPanel):
    """What the doctor says of this environment, and the fingerprints of the keys."""

    name, has_content = "Security", True

    def nav_title(self) -> str:
        problems = current_app.extensions["flask_secure.panel"].get("problems", [])
        return f"{self.name} ({len(problems)})" if problems else self.name

    def title(self) -> str:
        return self.name

    def url(self) -> str:
        return ""

    def content(self) -> str:
        page = Path(__file__).with_name("security.html").read_text()
        return render_template_string(page, **current_app.extensions["flask_secure.panel"])

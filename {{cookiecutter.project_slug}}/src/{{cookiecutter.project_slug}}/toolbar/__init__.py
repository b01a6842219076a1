"""Flask-DebugToolbar, for development and for this machine only, under the page's own content security policy."""

import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache, partial, update_wrapper
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request, session, url_for
from jinja2 import ChoiceLoader, FileSystemLoader

from ..settings import StartupError
from ..web.headers import allow

try:
    import flask_debugtoolbar
except ImportError:
    raise StartupError(
        "toolbar-missing",
        "Development uses Flask-DebugToolbar, which is not installed",
        "uv sync  # with pip: pip install --editable . --group dev",
    ) from None

from .examination import Examination

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
THEIRS = Path(flask_debugtoolbar.__file__).parent / "templates"
PREFIX = "/_debug_toolbar/"

PANELS = [
    f"{__name__}.panels.SecurityPanel",
    f"{__name__}.panels.ConfigPanel",
    "flask_debugtoolbar.panels.versions.VersionDebugPanel",
    "flask_debugtoolbar.panels.timer.TimerDebugPanel",
    "flask_debugtoolbar.panels.headers.HeaderDebugPanel",
    f"{__name__}.panels.RequestPanel",
    f"{__name__}.panels.TemplatePanel",
    "flask_debugtoolbar.panels.logger.LoggingPanel",
    "flask_debugtoolbar.panels.route_list.RouteListDebugPanel",
    "flask_debugtoolbar.panels.profiler.ProfilerDebugPanel",
    "flask_debugtoolbar.panels.g.GDebugPanel",
]

# What a proxy or a tunnel adds: then the request comes from elsewhere, whatever its address.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


class ThisMachine:
    """Contains the address of a request from this machine, as DEBUG_TB_HOSTS asks with `in`."""

    def __contains__(self, address: object) -> bool:
        try:
            is_loopback = ip_address(str(address)).is_loopback
        except ValueError:
            return False
        return is_loopback and not any(header in request.headers for header in FORWARDED)

    def __repr__(self) -> str:
        return "127.0.0.0/8 and ::1, with no proxy between"


THIS_MACHINE = ThisMachine()


def init_app(app: Flask) -> None:
    """Put the toolbar into every page that is asked for from this machine.

    Importing this module raises StartupError where the development dependencies are not installed.
    """
    app.config.setdefault("DEBUG_TB_PANELS", PANELS)
    app.config["DEBUG_TB_HOSTS"] = THIS_MACHINE
    app.extensions["examination"] = Examination(app.import_name)
    app.before_request(meet)
    inline_parts(f"{PREFIX}static/")  # under a prefix, when that is first met
    toolbar = Toolbar(app)

    def show_session() -> str:
        """The values of the session, which are in no page: a click asks for them, by POST as jQuery.load does."""
        return toolbar.render("session.html", {"session": session})

    app.add_url_rule(f"{PREFIX}session", "_debug_toolbar.session", show_session, methods=["POST"])


class Toolbar(flask_debugtoolbar.DebugToolbarExtension):
    """The extension, with what it lacks."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.jinja_env.loader = ChoiceLoader([FileSystemLoader(HERE), FileSystemLoader(THEIRS)])

    def process_view(
        self, app: Flask, view_func: Callable[..., Any], view_kwargs: dict[str, Any]
    ) -> Callable[..., Any]:
        """Let coroutines be views, as Flask does."""
        sync = app.ensure_sync(view_func)
        if sync is not view_func:
            sync = update_wrapper(partial(sync), view_func)
        return super().process_view(app, sync, view_kwargs)

    def process_response(self, response: Response) -> Response:  # type: ignore[override]
        """Leave alone what has no place for a toolbar: an answer without a type, and one that is streamed."""
        if response.mimetype == "text/html" and response.is_streamed:
            log.info("no toolbar on %s: it is streamed, and the toolbar needs the whole page", request.path)
            return response
        return super().process_response(response) if response.mimetype else response  # type: ignore[return-value]


def meet() -> None:
    """Hide the toolbar's addresses from others: the extension only hides itself. Let its inline parts pass the CSP."""
    if request.remote_addr in THIS_MACHINE:
        for directive, sources in inline_parts(url_for("_debug_toolbar.static", filename="")).items():
            allow(directive, *sources)
    elif request.path.startswith(PREFIX):
        abort(404)


@cache
def inline_parts(static_path: str) -> dict[str, list[str]]:
    """The hashes by which a Content-Security-Policy knows the toolbar's inline script and styles.

    They are computed from the templates of the toolbar that is installed. The script holds `static_path`, which
    begins with the prefix that the service is mounted at.
    """

    def hashes(texts: Iterator[str]) -> list[str]:
        return sorted({f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts})

    base = (THEIRS / "base.html").read_text()
    scripts = (text.replace("{{ static_path }}", static_path) for text in re.findall(r"<script[^>]*>([^<]+)<", base))
    pages = (path.read_text() for path in [THEIRS / "base.html", *(THEIRS / "panels").glob("*.html")])
    styles = (style for page in pages for style in re.findall(r'\sstyle="([^"]*)"', page))
    return {"script-src": hashes(scripts), "style-src-attr": ["'unsafe-hashes'", *hashes(styles)]}

"""Flask-DebugToolbar: for this machine alone, under the page's own policy, with our own panel."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from threading import Thread

from flask import Flask, Response, abort, current_app, render_template_string, request
from werkzeug.exceptions import SecurityError

from . import doctor, ring
from .advice import Violation, what_to_do
from .loading import Record
from .policies import ENFORCED, REPORT_ONLY, directives
from .policy import UNSAFE_INLINE, Policy
from .problems import Problem, StartupError
from .reports import REPORTED
from .ring import Ring
from .this_machine import is_from_this_machine, is_loopback

try:
    from flask_debugtoolbar import DebugToolbarExtension
    from flask_debugtoolbar.panels import DebugPanel
except ImportError:
    fix = "uv sync  # or: pip install flask-debugtoolbar"
    problem = Problem("toolbar-missing", "Flask-DebugToolbar is not installed", fix)
    raise StartupError(problem) from None

# The inline script and styles of Flask-DebugToolbar 0.16. A test computes them again.
SCRIPT = "'sha256-zWl5GfUhAzM8qz2mveQVnvu/VPnCS6QL7Niu6uLmoWU='"
STYLES = [
    "'unsafe-hashes'",
    "'sha256-0EZqoz+oBhx7gF4nvY2bSqoGyy4zLjNF+SDQXGp/ZrY='",
    "'sha256-1NkfmhNaD94k7thbpTCKG0dKnMcxprj9kdSKzKR6K/k='",
    "'sha256-biLFinpqYMtWHmXfkA1BPeCY0/fNt46SAZ+BBk5YUog='",
]

# Off, unless an owner's DEBUG_TB_PANELS names it: with Pygments each word of a query has a style=,
# which the policy blocks, and its links fail with SQLAlchemy 2. The Security panel says so.
SQLALCHEMY = "flask_debugtoolbar.panels.sqlalchemy.SQLAlchemyDebugPanel"

PANEL = "flask_secure.panel"
STATUS = "flask_secure.status"


def init_app(app: Flask, record: Record, keys: Ring | None) -> None:
    """Put the toolbar into every page that is asked for from this machine."""
    app.extensions[PANEL] = {"ring": keys}
    loaded = replace(record, config=copy(app.config))  # as it is before the keys and the toolbar
    Thread(target=examine, args=(app, loaded), daemon=True).start()  # git may take long
    if "headers" in record.parts:
        for setting in (ENFORCED, REPORT_ONLY):
            app.config[setting] = with_toolbar(directives(app.config, setting))
    app.config["DEBUG_TB_HOSTS"] = ThisMachine()
    if keys is not None:
        ring.install(app, keys)  # without a key the extension does not start
    app.before_request(hide_from_others)
    has_own_panels = "DEBUG_TB_PANELS" in app.config
    app.after_request(restore_status)  # Flask calls the last one first
    DebugToolbarExtension(app)
    app.after_request(lend_status)
    panels = app.config["DEBUG_TB_PANELS"]
    if not has_own_panels:
        panels = [panel for panel in panels if panel != SQLALCHEMY]
    app.config["DEBUG_TB_PANELS"] = (f"{__name__}.Security", *panels)


def with_toolbar(directives: dict[str, list[str]]) -> dict[str, list[str]]:
    """A policy's directives with the hashes of the toolbar, where they restrict inline code.

    A hash would undo an owner's 'unsafe-inline' (CSP Level 3, 6.7.3.2), which lets the toolbar in.
    """
    policy = Policy.of(directives)
    scripts = "script-src-elem" if "script-src-elem" in policy.directives else "script-src"
    more = {}
    for name, hashes in ((scripts, [SCRIPT]), ("style-src-attr", STYLES)):
        sources = policy.sources(name)
        if policy.governing(name) and UNSAFE_INLINE not in sources:
            more[name] = [*sources, *hashes]
    return dict(policy.directives) | more


def examine(app: Flask, record: Record) -> None:
    """Give the panel what the doctor says of the settings as they were loaded."""
    app.extensions[PANEL]["report"] = doctor.examine(record)


class ThisMachine:
    """DEBUG_TB_HOSTS, which the toolbar asks whether the address of a request is in it."""

    def __contains__(self, address: object) -> bool:
        return is_loopback(address) and is_from_this_machine(request.environ)


def hide_from_others() -> None:
    """Answer 404 to whoever asks for the toolbar from elsewhere."""
    if isinstance(request.routing_exception, SecurityError):
        raise request.routing_exception  # for an untrusted host the toolbar can't make its links
    if request.path.startswith("/_debug_toolbar/") and request.remote_addr not in ThisMachine():
        abort(404)


def lend_status(response: Response) -> Response:
    """Let the toolbar take an error page for one that is found.

    Of errors it knows some statuses only, and leaves a form with a mistake (422) without itself.
    """
    if response.status_code >= 400:
        request.environ[STATUS] = response.status
        response.status = "200 OK"
    return response


def restore_status(response: Response) -> Response:
    """Give an error page its own status back, once the toolbar is in it."""
    response.status = request.environ.pop(STATUS, response.status)
    return response


class Security(DebugPanel):
    """What the doctor says of this environment, and the fingerprints of the keys."""

    name = "Security"
    has_content = True

    def nav_title(self) -> str:
        report = current_app.extensions[PANEL].get("report")
        count = len(report.problems) if report else 0
        count += len(reported_violations())
        return f"{self.name} ({count})" if count else self.name

    def title(self) -> str:
        return self.name

    def url(self) -> str:
        return ""

    def content(self) -> str:
        page = Path(__file__).with_name("security.html").read_text("utf-8")
        violations = reported_violations()
        shown = [(each, what_to_do(each)) for each in violations]
        copies = current_app.extensions[REPORTED]["copies"].lines(violations) if shown else []
        return render_template_string(
            page, violations=shown, copies=copies, **current_app.extensions[PANEL]
        )


def reported_violations() -> list[Violation]:
    """What browsers have reported, unless CSP_REPORTS is False."""
    reported = current_app.extensions.get(REPORTED)
    return reported["store"].violations() if reported else []

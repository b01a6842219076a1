"""The toolbar's panels that are the service's own. None puts a key, a cookie's value or a session into a page."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Response, current_app, session
from flask_debugtoolbar.panels import DebugPanel
from flask_debugtoolbar.panels.template import TemplateDebugPanel
from werkzeug import Request
from werkzeug.datastructures import Headers

from .. import keys
from ..doctor.shown import effective
from ..keys.ring import fingerprint
from ..logs.redaction import REDACTED, is_secret
from ..web import headers
from .examination import Examination

# What Flask gives every template; among it the session.
EVERY_TEMPLATES = {"config", "g", "request", "session"}


class OwnPanel(DebugPanel):
    """A panel with a name, a template that is called so, and what that shows."""

    has_content = True

    def nav_title(self) -> str:
        return self.name

    def title(self) -> str:
        return self.name

    def url(self) -> str:
        return ""

    def process_request(self, request: Request) -> None:
        self.request = request

    def content(self) -> str:
        return self.render(f"{self.name.lower()}.html", self.shown())

    def shown(self) -> dict[str, Any]:
        """What the template is given."""
        raise NotImplementedError


class ConfigPanel(OwnPanel):
    """Every setting with the layer that set it, secrets left out."""

    name = "Config"

    def shown(self) -> dict[str, Any]:
        return {"settings": effective(current_app)}


class Role(NamedTuple):
    """A key of the ring, as it may be shown."""

    name: str
    fingerprint: str
    age: str


class SecurityPanel(OwnPanel):
    """What the doctor finds, the keys, and the headers and cookies of this answer."""

    name = "Security"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examination: Examination = current_app.extensions["examination"]
        self.examination.start()
        self.headers: list[tuple[str, str]] = []

    def nav_subtitle(self) -> str:
        if not self.examination.is_over:
            return "being examined"
        findings = [finding for each in self.examination.findings.values() for finding in each]
        count = len({(finding["id"], finding["problem"]) for finding in findings})
        return f"{count} finding{'s' * (count != 1)}" if count else "nothing is wrong"

    def process_response(self, request: Request, response: Response) -> None:  # type: ignore[override]
        # What follows the toolbar on the way out: the session's cookie, and the headers.
        copy = Response(headers=Headers(response.headers))
        current_app.session_interface.save_session(current_app, session, copy)
        found = copy.headers.to_wsgi_list()
        complete = current_app.extensions[headers.EXTENSION].complete
        complete(request.environ, f"{response.status_code}", found)
        self.headers = [(name, without_value(value) if name == "Set-Cookie" else value) for name, value in found]

    def shown(self) -> dict[str, Any]:
        ring, place = keys.loaded(current_app)
        age = f"{(datetime.now(UTC) - ring.since).days} days" if ring.since else ""
        roles = [Role("signs", fingerprint(ring.current), age)]
        roles += [Role("next, verifies", fingerprint(ring.next), "")] if ring.next else []
        roles += [Role("older, verifies", fingerprint(key), "") for key in reversed(ring.previous)]
        headers = [pair for pair in self.headers if pair[0] != "Set-Cookie"]
        cookies = [value for name, value in self.headers if name == "Set-Cookie"]
        findings = self.examination.findings
        return {"findings": findings, "roles": roles, "place": place, "headers": headers, "cookies": cookies}


def without_value(cookie: str) -> str:
    """A Set-Cookie header as it may be shown."""
    pair, semicolon, flags = cookie.partition(";")
    return f"{pair.partition('=')[0]}={REDACTED}{semicolon}{flags}"


class RequestPanel(OwnPanel):
    """What came with the request, with the names alone of what is private: cookies, the session, secrets."""

    name = "Request"

    def process_view(
        self, request: Request, view_func: Callable[..., Any], view_kwargs: dict[str, Any]
    ) -> Callable[..., Any] | None:
        self.view = f"{view_func.__module__}.{getattr(view_func, '__name__', view_func)}"
        self.arguments = view_kwargs
        return None

    def shown(self) -> dict[str, Any]:
        def values(parameters: Any) -> list[tuple[str, str]]:
            return [
                (name, REDACTED if is_secret(name) else ", ".join(map(repr, given)))
                for name, given in parameters.lists()
            ]

        return {
            "view": getattr(self, "view", "none"),
            "arguments": getattr(self, "arguments", {}),
            "query": values(self.request.args),
            "form": values(self.request.form),
            "cookies": list(self.request.cookies),
            "session": list(session),
        }


class TemplatePanel(TemplateDebugPanel):
    """The templates of the page, each with the values that its view gave it."""

    def _store_template_info(self, sender: Any, **kwargs: Any) -> None:
        context = {name: value for name, value in kwargs["context"].items() if name not in EVERY_TEMPLATES}
        super()._store_template_info(sender, template=kwargs["template"], context=context)

"""The generated service with views for tests, which copy this file to where it is run."""

from flask import redirect, render_template_string, request, session, stream_template_string, url_for
from my_flask_service import create_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

ICON = '<link rel="icon" href="/static/favicon.svg">'
CHANGE = "document.querySelector('p').textContent = 'run'"
FORM = "<form method='post' action='/act'><input name='a'><button>Go</button></form>"

app = create_app()


def page(text: str, more: str = "") -> str:
    return f"<!doctype html><html><title>Tried</title>{ICON}<body><p>{text}</p>{more}</body></html>"


INLINE = page("not run", f"<script nonce='{{{{ csp_nonce() }}}}'>{CHANGE}</script>")
INJECTED = page("not run", f"<script>{CHANGE}</script><i onclick='x()' style='color: red'></i>")


async def coroutine() -> str:
    return page("awaited")


def remember() -> object:
    session["private"] = request.args["what"]
    return redirect("/coroutine")


for name, view in {
    "coroutine": coroutine,
    "remember": remember,
    "act": lambda: page(f"done: {request.form.get('a')}"),
    "form": lambda: page("a form", FORM),
    "stream": lambda: stream_template_string(INLINE),
    "inline": lambda: render_template_string(INLINE),
    "injected": lambda: INJECTED,
    "seen": lambda: {
        "link": url_for("seen", _external=True),
        "address": request.remote_addr,
        "secure": request.is_secure,
    },
}.items():
    app.add_url_rule(f"/{name}", name, view, methods=["POST"] if name == "act" else ["GET"])

app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/prefix": app.wsgi_app})  # type: ignore[method-assign]

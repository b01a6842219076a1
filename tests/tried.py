"""The generated service with views for tests, which copy this file to where it is run."""

import logging
import time

from flask import redirect, render_template_string, request, session, stream_template_string, url_for
from my_flask_service import create_app

ICON = '<link rel="icon" href="/static/favicon.svg">'
CHANGE = "document.querySelector('p').textContent = 'run'"
FORM = "<form method='post' action='/act'><input name='a'><button>Go</button></form>"

app = create_app()
log = logging.getLogger("tried")
log.setLevel(logging.INFO)


def page(text: str, more: str = "") -> str:
    return f"<!doctype html><html><title>Tried</title>{ICON}<body><p>{text}</p>{more}</body></html>"


INLINE = page("not run", f"<script nonce='{{{{ csp_nonce() }}}}'>{CHANGE}</script>")
INJECTED = page("not run", f"<script>{CHANGE}</script><i onclick='x()' style='color: red'></i>")


def remembered() -> str:
    return page("remembered")


def remember() -> object:
    session["private"] = request.args["what"]
    return redirect("/remembered")


def body() -> str:
    """Read the body in the way that the query names, and log that all of it is here."""
    read = {
        "form": lambda: request.form,
        "json": lambda: request.json,
        "data": request.get_data,
        "stream": lambda: request.stream.read(),
        "pieces": lambda: b"".join(iter(lambda: request.stream.read(4), b"")),
        "lines": lambda: b"".join(request.stream),
        "nothing": lambda: b"",
    }[request.args["as"]]()
    log.info("read %s", request.args["as"])
    return str(len(read))


def slow() -> str:
    time.sleep(float(request.args["seconds"]))
    return "slept"


for name, view in {
    "remembered": remembered,
    "remember": remember,
    "act": lambda: page(f"done: {request.form.get('a')}"),
    "body": body,
    "form": lambda: page("a form", FORM),
    "stream": lambda: stream_template_string(INLINE),
    "inline": lambda: render_template_string(INLINE),
    "injected": lambda: INJECTED,
    "slow": slow,
    "smuggled": lambda: "smuggled",
    "seen": lambda: {
        "link": url_for("seen", _external=True),
        "address": request.remote_addr,
        "secure": request.is_secure,
    },
}.items():
    app.add_url_rule(f"/{name}", name, view, methods=["POST"] if name in ("act", "body") else ["GET"])

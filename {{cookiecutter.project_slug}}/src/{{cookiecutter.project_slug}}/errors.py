"""Errors, as a page for browsers and as problem details (RFC 9457) for other clients."""

from flask import Flask, current_app, json, render_template, request
from werkzeug.exceptions import BadRequestKeyError, HTTPException
from werkzeug.wrappers import Response

from flask_secure import request_id

# What visitors read in place of Werkzeug's descriptions, which are meant for developers.
MESSAGES = {
    400: "The browser sent something that this service can't read.",
    403: "This page is not open to you.",
    404: "There is nothing at this address. It may have been moved, or mistyped.",
    405: "This address does not accept that kind of request.",
    413: "What was sent is larger than this service accepts.",
    429: "That was too many requests in a short time. Wait a moment, then try again.",
    500: "Something went wrong here. It has been logged, and trying again later may work.",
}


def init_app(app: Flask) -> None:
    """Answer every HTTP error, and in production every exception, in one way."""
    app.register_error_handler(HTTPException, handle)


def handle(error: HTTPException) -> Response:
    """The response for `error`, with its own status and headers (Allow, Retry-After)."""
    if current_app.debug and isinstance(error, BadRequestKeyError):
        raise error  # a mistyped name in request.form[...]: the debugger shows where
    response = Response.force_type(error.get_response(request.environ))
    code = response.status_code
    # What abort(404, "No such invoice.") says; else our words, or Werkzeug's.
    detail = vars(error).get("description") or MESSAGES.get(code, error.description)
    problem = {
        "type": "about:blank",
        "title": error.name,
        "status": code,
        "detail": detail,
        "request_id": request_id(),
    }
    # Browsers name it; curl and clients of an API do not.
    if "text/html" in request.headers.get("Accept", ""):
        response.data = render_template("error.html", **problem)
        response.content_type = "text/html; charset=utf-8"
    else:
        response.data = json.dumps(problem)
        response.content_type = "application/problem+json"
    response.vary.add("Accept")
    return response

"""Errors as a page, or as problem details (RFC 9457) for clients that ask for JSON."""

import logging
import sys

from flask import Flask, current_app, json, render_template, request
from werkzeug.exceptions import BadRequest, BadRequestKeyError, HTTPException
from werkzeug.wrappers import Response

from .logs import request_id

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"

# What a person reads, where Werkzeug's own words are meant for developers.
EXPLANATIONS = {
    400: "The browser sent something that this service can't read.",
    403: "This page is not open to you.",
    404: "There is nothing at this address. It may have been moved, or mistyped.",
    405: "This address does not take that kind of request.",
    413: "What was sent is larger than this service takes.",
    429: "That was too many requests in a short time. Wait a moment, then try again.",
    500: "Something went wrong here. It has been logged, and trying again later may work.",
}


def init_app(app: Flask) -> None:
    """Answer every HTTP error, and in production every exception, in one way."""
    app.register_error_handler(HTTPException, answer)
    if gunicorn := sys.modules.get("gunicorn.http.errors"):  # what it raises when a view reads a malformed body
        app.register_error_handler(gunicorn.ParseException, lambda _: answer(BadRequest()))


def answer(error: HTTPException) -> Response:
    """The response for `error`: its own status and headers (Allow, Retry-After), and a body that fits."""
    if current_app.debug and isinstance(error, BadRequestKeyError):
        raise error  # a mistyped name in request.form[...]: the debugger shows where
    response = Response.force_type(error.get_response(request.environ))
    if error.response is not None:  # abort(response): the view has said it all
        return response
    code = response.status_code
    # What abort(404, "No such invoice.") says; else our words, or Werkzeug's.
    detail = vars(error).get("description") or EXPLANATIONS.get(code, error.description)
    name = request_id(request.environ)  # what to look for in the logs
    if current_app.debug:  # in production, the line of the request says so
        log.info("%s %s: %s", code, error.name, detail)
    if wants_json():
        problem = {"type": "about:blank", "title": error.name, "status": code, "detail": detail, "request_id": name}
        response.data, response.content_type = json.dumps(problem), PROBLEM
    else:
        response.data = render_template("error.html", code=code, title=error.name, detail=detail, request_id=name)
        response.content_type = "text/html; charset=utf-8"
    response.vary.add("Accept")
    return response


def wants_json() -> bool:
    """Whether the client would rather have JSON than a page; without a preference it gets the page."""
    offers = ["text/html", "application/json", PROBLEM]
    return request.accept_mimetypes.best_match(offers, default="text/html") != "text/html"

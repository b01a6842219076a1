"""Limits: a body is whole, well-formed and not too large, or the request is answered 400 or 413."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask, current_app, request
from werkzeug.exceptions import BadRequest

FORM = "application/x-www-form-urlencoded"


def init_app(app: Flask) -> None:
    """Hold the bodies of requests to `app` to their limits."""
    app.wsgi_app = BodyMiddleware(app.wsgi_app)  # type: ignore[method-assign]


def limit_form() -> None:
    """Hold a form without files to MAX_FORM_MEMORY_SIZE: Werkzeug reads it into memory whole.

    Werkzeug itself holds only the fields of multipart forms to that.
    """
    if request.mimetype != FORM:
        return
    limits = [request.max_content_length, current_app.config["MAX_FORM_MEMORY_SIZE"]]
    request.max_content_length = min((limit for limit in limits if limit is not None), default=None)


class BodyMiddleware:
    """A WSGI application that reads whole bodies, or a BadRequest."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]]) -> None:
        self.wsgi_app = wsgi_app

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("CONTENT_LENGTH"):
            # Otherwise Werkzeug would take a body that ends early for the whole.
            environ.pop("wsgi.input_terminated", None)
        elif "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = ChunkedBody(environ["wsgi.input"])
        return self.wsgi_app(environ, start_response)


class ChunkedBody:
    """A body in chunks. gunicorn finds out that it is malformed while a view reads it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        gunicorn = sys.modules.get("gunicorn.http.errors")
        self.malformed = gunicorn.ParseException if gunicorn else ()

    def read(self, size: int = -1) -> bytes:
        return self._or_bad_request(self.stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._or_bad_request(self.stream.readline, size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _or_bad_request(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            return read(size)
        except self.malformed:
            raise BadRequest("The body of the request is malformed.") from None

"""Applications and other sites of a test's own, for what a browser makes of a policy."""

import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page
from support import LIBRARY, clean_environ, free_port, serve

LIBRARIES = ("flask>=3.1.3,<3.2", "python-dotenv", "flask-debugtoolbar", "flask-admin", "flask-sqlalchemy", "dash")
LIBRARIES += ("flask-swagger-ui", "pygments", "sqlparse")
NOT_SENT = "violates the following Content Security Policy directive"

START = """
import flask_secure
from flask import Flask, redirect, render_template, request, session
from flask_secure import csp_override, header_override

app = Flask(__name__)
{settings}
flask_secure.init_app(app, "development")


@app.get("/")
def index():
    return render_template("index.html")
"""


class Site:
    """An application of a test's own."""

    def __init__(self, folder: Path, *, settings: str = "", code: str = "", head: str = START, **pages: str) -> None:
        self.folder = folder
        for name in ("templates", "static"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").touch()
        (folder / "app.py").write_text(head.replace("{settings}", settings) + code)
        for name, text in {"index": "<p>index</p>", **pages}.items():
            page = f"<!doctype html><html><body>{text}</body></html>"
            (folder / "templates" / f"{name}.html").write_text(page)
        self.log = Path()

    @contextmanager
    def served(self, python: str | Path = sys.executable, **more: str) -> Iterator[str]:
        port = free_port()
        path = f"{LIBRARY.parent}{os.pathsep}{self.folder}"
        env = clean_environ(PYTHONPATH=path, SECRET_KEY=secrets.token_hex(32), APP_ENV="development", **more)
        command = [python, "-m", "flask", "--app", "app", "run", "--no-reload", "--port", str(port)]
        self.log = self.folder / f"server-{port}.log"
        with serve(command, port, self.folder, env) as address:
            yield address

    def reported(self) -> str:
        """The violations in the terminal."""
        lines = self.log.read_text().splitlines()
        return "\n".join(line for line in lines if re.search("-src.* (blocks|would block) ", line))

    def wait_for(self, text: str) -> None:
        """Wait until the terminal has a line with `text`."""
        deadline = time.monotonic() + 10
        while text not in self.reported():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


class Elsewhere:
    """Other sites, each with one page for all paths and methods."""

    def __init__(self) -> None:
        self.servers: list[ThreadingHTTPServer] = []

    def make(self, page: str, *, kind: str = "text/html", host: str = "localhost", **headers: str) -> str:
        """Serve `page`; gives the address of the site."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(page.encode())

            do_POST = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                """No lines on the screen."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{host}:{server.server_port}"

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


def blocked(page: Page) -> list[str]:
    """A list that collects what the policy blocks on `page`, from now on."""
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text) if NOT_SENT in message.text else None)
    return messages

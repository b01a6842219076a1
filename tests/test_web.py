"""The service's pages and errors, and the service under real servers: bodies, proxies, logs, load, a hostile client."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
from attacks import FORM, MULTIPART, attacks, post, request
from flask import Flask, abort, flash, render_template_string
from flask import request as asked
from flask.testing import FlaskClient
from support import SLUG, Project, bake, clean_environ, free_port, policy_of, production, serve
from werkzeug.wrappers import Response as AnyResponse

FORGED = "eyJ2aXNpdHMiOjk5fQ.aSABCD.{}"

# The pages and errors of the service, in this process


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A baked service in the testing environment, which answers exceptions as production does."""
    project = bake(tmp_path_factory.mktemp("baked"), project_name="Ann & <Bob>'s", project_slug="in_process")
    sys.path.insert(0, str(project / "src"))
    try:
        package = import_module("in_process")
        with patch.dict(os.environ, clean_environ(), clear=True):
            app: Flask = package.create_app("testing")
            app.config["PROPAGATE_EXCEPTIONS"] = False
            own = AnyResponse("own", 418, {"Content-Type": "text/plain"})
            views = {
                "crash": lambda: str(1 // 0),
                "said": lambda: abort(404, "No such <invoice>."),
                "wait": lambda: abort(429, retry_after=9),
                "own": lambda: abort(own),
                "field": lambda: asked.form["missing"],
                "flash": lambda: (flash("Saved <it>"), render_template_string(BLOCKS))[1],
            }
            for name, view in views.items():
                app.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
            app.add_url_rule("/abort/<int:code>", "abort", abort)
            yield app
    finally:
        sys.path.remove(str(project / "src"))
        for name in [name for name in sys.modules if name.partition(".")[0] == "in_process"]:
            del sys.modules[name]


@pytest.fixture
def client(service: Flask) -> FlaskClient:
    return service.test_client()


BLOCKS = """{% extends "base.html" %}
{% block title %}A title{% endblock %}
{% block head %}<meta name="own">{% endblock %}
{% block main %}<h1>Main</h1>{% endblock %}
{% block scripts %}<script nonce="{{ csp_nonce() }}">1</script>{% endblock %}"""

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
OTHERS = [{}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": "image/*"}, {"Accept": "text/*;q=0.1"}]


def test_the_page_shows_what_the_service_is(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "<title>Ann &amp; &lt;Bob&gt;&#39;s</title>" in page
    assert "A web service built with Flask." in page
    assert "testing" in page
    assert "fingerprint" not in page.lower()  # outside development


def test_the_session_counts_visits_and_a_forged_one_is_empty(client: FlaskClient) -> None:
    for expected in ("first visit", "2 times", "3 times"):
        response = client.get("/")
        assert expected in response.text
        assert len(response.headers.getlist("Set-Cookie")) == 1
    cookie = client.get_cookie("__Host-in_process")
    assert cookie is not None
    payload, rest = cookie.value.split(".", 1)
    client.set_cookie("__Host-in_process", f"{payload[::-1]}.{rest}")
    assert "first visit" in client.get("/").text


def test_health_checks_have_no_session(client: FlaskClient) -> None:
    client.get("/")
    for path in ("/healthz", "/readyz"):
        response = client.get(path)
        assert response.json == {"status": "ok"}
        assert "Set-Cookie" not in response.headers
        assert "Cookie" not in response.vary


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503])
def test_an_error_is_a_page_only_where_accept_names_html(client: FlaskClient, code: int) -> None:
    page = client.get(f"/abort/{code}", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (code, "text/html")
    assert f">{code}</p>" in page.text
    assert page.headers["X-Request-ID"] in page.text
    for headers in OTHERS:
        response = client.get(f"/abort/{code}", headers=headers)
        assert (response.status_code, response.content_type) == (code, "application/problem+json")
        problem = json.loads(response.text)
        assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
        assert (problem["type"], problem["status"]) == ("about:blank", code)
        assert problem["request_id"] == response.headers["X-Request-ID"]
        assert problem["detail"]
        assert problem["detail"] in page.text.replace("&#39;", "'")
        assert {"Accept"} <= {*page.vary} & {*response.vary}


@pytest.mark.parametrize("headers", [BROWSER, *OTHERS])
def test_an_exception_is_500_without_its_cause(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get("/crash", headers=headers)
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
    assert response.headers["X-Request-ID"] in response.text


def test_what_a_view_says_is_shown_as_text(client: FlaskClient) -> None:
    assert "No such &lt;invoice&gt;." in client.get("/said", headers=BROWSER).text
    problem = client.get("/said").get_json(force=True)
    assert (problem["title"], problem["detail"]) == ("Not Found", "No such <invoice>.")


def test_an_error_keeps_its_headers_and_its_own_response(client: FlaskClient) -> None:
    assert client.get("/wait").headers["Retry-After"] == "9"
    assert "GET" in client.post("/healthz").headers["Allow"]
    for headers in (BROWSER, {}):
        response = client.get("/own", headers=headers)
        assert (response.status_code, response.text, response.mimetype) == (418, "own", "text/plain")


def test_a_missing_field_is_400_without_the_names_of_the_code(client: FlaskClient) -> None:
    response = client.post("/field")
    assert response.status_code == 400
    assert "missing" not in response.text


def test_errors_that_the_library_answers_look_the_same(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    cross_site = client.post("/field", headers={"Origin": "https://evil.example"})
    large = client.post("/field", data={"a": "x" * 3_000_000})
    for status, response in {403: cross_site, 413: large}.items():
        assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert "CSRF_TRUSTED_ORIGINS" not in cross_site.text  # that is for developers
    monkeypatch.setitem(client.application.config, "TRUSTED_HOSTS", ["localhost"])  # under test every host is trusted
    wrong_host = client.get("/", headers={"Host": "evil.example", **BROWSER})
    assert (wrong_host.status_code, wrong_host.mimetype) == (400, "text/plain")


def test_the_base_template_shows_flashed_messages_and_has_blocks(client: FlaskClient) -> None:
    response = client.get("/flash")
    head, _, body = response.text.partition("</head>")
    assert "<title>A title</title>" in head
    assert '<meta name="own">' in head
    assert "Saved &lt;it&gt;" in body
    assert body.index("Saved") < body.index("<h1>Main</h1>") < body.index("</main>") < body.index("<script nonce=")
    nonce = re.findall(r'<script nonce="([\w-]+)">', body)[0]
    assert f"'nonce-{nonce}'" in response.headers["Content-Security-Policy"]
    assert "Saved" not in client.get("/").text  # a message is shown once


# Under real servers


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: HTTPMessage
    text: str


@dataclass
class Server:
    """A server that runs tried.py."""

    port: int
    log: Path
    key: str

    def get(self, path: str = "/", method: str = "GET", body: str = "", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body or None, headers=named)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, *pieces: bytes, pause: float = 0, half_close: bool = False) -> bytes:
        """Everything that is answered to `pieces`; nothing where the connection is closed."""
        with self.connect() as connection:
            with suppress(OSError):
                for index, piece in enumerate(pieces):
                    time.sleep(pause if index else 0)
                    connection.sendall(piece)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(OSError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def logged(self, text: str) -> int:
        return self.log.read_text().count(text)

    def lines(self) -> list[dict[str, object]]:
        """What gunicorn has logged: each line one JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.strip()]


@contextmanager
def gunicorn(installed: Path, folder: Path, **env: str) -> Iterator[Server]:
    """Serve tried.py in production from `folder`, with the project's gunicorn.conf.py as it is."""
    shutil.copy(Path(__file__).with_name("tried.py"), folder)
    shutil.copy(installed / "gunicorn.conf.py", folder)
    environ, port = production(**env), free_port()
    command = [installed / "venv/bin/gunicorn", f"--bind=127.0.0.1:{port}", "tried:app"]
    with serve(command, port, folder, clean_environ(**environ)):
        yield Server(port, folder / f"server-{port}.log", environ["SECRET_KEY"])


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with gunicorn(installed, tmp_path_factory.mktemp("served"), MALLOC_ARENA_MAX="1") as running:
        yield running


@pytest.fixture(scope="module")
def flask_run(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The development server."""
    place, port = tmp_path_factory.mktemp("run"), free_port()
    shutil.copy(Path(__file__).with_name("tried.py"), place)
    env = clean_environ(PYTHONPATH=str(place), FLASK_APP="tried", PWD=str(project.path))
    command = [project.program("flask"), "run", "--no-reload", "--port", str(port)]
    with serve(command, port, project.path, env):
        yield Server(port, project.path / f"server-{port}.log", project.key)


@pytest.fixture(params=["server", "flask_run"])
def either(request: pytest.FixtureRequest) -> Server:
    """gunicorn, and the development server."""
    running: Server = request.getfixturevalue(request.param)
    return running


# Bodies

JSON, TEXT = b"Content-Type: application/json", b"Content-Type: text/plain"
PART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
FIRST_HALF = {
    "form": (FORM, b"amount=10"),
    "json": (JSON, b'{"amount": 10}'),
    "data": (TEXT, b"amount=10"),
    "stream": (TEXT, b"amount=10"),
    "pieces": (TEXT, b"amount=10"),
    "lines": (TEXT, b"amount=10\n"),
    "form of parts": (MULTIPART, PART + b"--b--\r\n"),
}


@pytest.mark.parametrize("kind", FIRST_HALF)
def test_a_body_shorter_than_its_content_length_is_400(either: Server, kind: str) -> None:
    """The client stops sending: it half-closes, or it goes away."""
    content_type, body = FIRST_HALF[kind]
    read = kind.split()[0]
    path = f"/body?as={read}".encode()
    before = either.logged(f"read {read}")
    for missing in (1, 500):
        short = post(body, content_type, length=b"%d" % (len(body) + missing), path=path)
        response = either.raw(short, half_close=True)
        assert response.startswith(b"HTTP/1.1 400 "), response[:300]
        with either.connect() as connection:  # it goes away
            connection.sendall(short)
            time.sleep(0.1)
    time.sleep(0.2)
    assert either.logged(f"read {read}") == before
    whole = either.raw(post(body, content_type, path=path))
    assert whole.startswith(b"HTTP/1.1 200 "), whole[:300]
    assert either.logged(f"read {read}") == before + 1


@pytest.mark.parametrize("cut", [b"5\r\namount", b"5\r\namoun\r\n", b"5\r\namoun\r\n5\r\nt=1", b"5\r\namoun\r\n0\r\n"])
def test_a_chunked_body_without_its_end_is_400(server: Server, cut: bytes) -> None:
    before = server.logged("read form")
    head = request(b"/body?as=form", FORM, b"Transfer-Encoding: chunked", method=b"POST")
    assert server.raw(head + cut, half_close=True)[:13] in (b"HTTP/1.1 400 ", b"")
    assert server.logged("read form") == before
    assert server.raw(head + b"5\r\namoun\r\n4\r\nt=10\r\n0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


INNER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_bytes_of_a_body_are_never_a_request(either: Server) -> None:
    """Three bytes of a body, a pause, then bytes of it that look like a request, on a connection that is kept."""

    def send(path: bytes, origin: bytes) -> bytes:
        headers = (TEXT, b"Connection: keep-alive", b"Origin: http://" + origin)
        head = post(b"a=1", *headers, length=b"%d" % (3 + len(INNER)), path=path)
        return either.raw(head, INNER, half_close=True, pause=1)

    paths = [b"/body?as=data", b"/body?as=nothing", b"/act", b"/", b"/nothing"]
    with ThreadPoolExecutor(10) as clients:
        responses = list(clients.map(send, paths * 2, [b"localhost"] * 5 + [b"evil.example"] * 5))
    for response in responses:
        assert response.count(b"HTTP/1.1 ") == 1, response
        assert b"\r\n\r\nsmuggled" not in response
    assert either.logged("/smuggled") == 0


def test_a_body_that_is_too_large_or_slow_is_no_request_either(server: Server) -> None:
    """The desync of version 0.1, and a rejected body whose rest is a list of requests."""
    early = post(b"a=1", FORM, b"Connection: keep-alive", length=b"37")
    with server.connect() as connection:
        connection.sendall(early)
        time.sleep(4)
        connection.sendall(INNER)
        connection.shutdown(socket.SHUT_WR)
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.count(b"HTTP/1.1 ") <= 2  # 34 of these bytes complete the body; what follows is no request line
    assert response.count(b"HTTP/1.1 200") <= 1
    large = post(INNER * 60_000, FORM, b"Connection: keep-alive")
    assert server.raw(large, half_close=True).count(b"HTTP/1.1 ") <= 1
    assert server.logged("/smuggled") == 0


# What others ask of the headers


# The list of OWASP's Secure Headers Project: each header with its recommended value, or with why ours differs.
OWASP = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "(?i)deny",
    "Content-Security-Policy": "default-src '(none|self)'; .*frame-ancestors 'none'.*",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": r".*camera=\(\).*",
    "Cache-Control": "no-store.*",  # of the page, which has a session
    "Referrer-Policy": "same-origin",  # not no-referrer: with that a form's Origin is "null"
}
ARGUED = {
    "Cross-Origin-Embedder-Policy": "it would break images of other origins, which the policy already names",
    "Clear-Site-Data": "it belongs to a response that logs a user out, which is a view's",
}
REMOVED = ["X-Powered-By", "X-AspNet-Version", "X-Runtime", "X-Version", "Via", "X-Generator"]


def test_owasp_secure_headers(server: Server) -> None:
    response = server.get(Host="localhost")
    for name, wanted in OWASP.items():
        assert re.fullmatch(wanted, response.headers[name]), name
    for name in [*ARGUED, *REMOVED]:
        assert name not in response.headers
    assert response.headers["Server"] == "gunicorn"  # it can't be taken away, but it has no version


def test_mozilla_observatory_scores_a_plus(server: Server) -> None:
    """The rules of the HTTP Observatory, version 2: 100 points, from 90 on with what is better than asked."""
    response = server.get(Host="localhost")
    policy = policy_of(response)
    scripts = policy.get("script-src", policy["default-src"])
    unsafe = {"'unsafe-inline'", "'unsafe-eval'", "data:", "http:", "https:", "*"}
    cookie = response.headers["Set-Cookie"].lower().split("; ")
    hsts = int(response.headers["Strict-Transport-Security"].split("max-age=")[1].split(";")[0])
    malus = {
        "csp": -20 if unsafe & {*scripts, *policy["style-src"], *policy["default-src"]} else 0,
        "cookies": 0 if {"secure", "httponly"} <= set(cookie) else -40,
        "cors": -50 if response.headers.get("Access-Control-Allow-Origin") else 0,
        "hsts": 0 if hsts >= 15768000 else -10,
        "sri": -5 if re.search(r"<script[^>]+src=['\"]?(https?:)?//", response.text) else 0,
        "nosniff": 0 if response.headers["X-Content-Type-Options"] == "nosniff" else -5,
    }
    bonus = {
        "csp": 10 if policy["default-src"] == ["'none'"] else 5,
        "cookies": 5 if any(flag.startswith("samesite=") for flag in cookie) else 0,
        "referrer": 5 if response.headers["Referrer-Policy"] in ("same-origin", "no-referrer") else 0,
        "frames": 5 if policy["frame-ancestors"] == ["'none'"] else 0,
        "corp": 10 if response.headers["Cross-Origin-Resource-Policy"] == "same-origin" else 0,
    }
    assert set(malus.values()) == {0}
    assert 100 + sum(bonus.values()) == 135  # A+ begins at 100; redirecting to https is the reverse proxy's


# Reverse proxies

FORWARDED = {
    "Host": "localhost",
    "X_Forwarded_For": "203.0.113.7",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "www.example.org",
    "X_Forwarded_Ssl": "on",
    "X_Request_ID": "named-by-the-proxy",
}


def test_forwarded_headers_are_ignored_without_trusted_proxies(server: Server) -> None:
    """gunicorn itself believes those of 127.0.0.1, unless it is told not to."""
    response = server.get("/seen", **FORWARDED)
    assert json.loads(response.text) == {"link": "http://localhost/seen", "address": "127.0.0.1", "secure": False}
    assert response.headers["X-Request-ID"] != "named-by-the-proxy"
    assert "Location" not in server.get("/", Host="localhost").headers  # nothing is redirected


@pytest.fixture(scope="module")
def behind(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with one worker behind a reverse proxy that ends TLS."""
    env = {"TRUSTED_PROXIES": "1", "TRUSTED_HOSTS": "www.example.org", "WEB_CONCURRENCY": "1"}
    with gunicorn(installed, tmp_path_factory.mktemp("behind"), **env) as running:
        yield running


def test_behind_a_reverse_proxy_that_ends_tls(behind: Server) -> None:
    response = behind.get("/seen", **FORWARDED)
    link = "https://www.example.org/seen"
    assert json.loads(response.text) == {"link": link, "address": "203.0.113.7", "secure": True}
    assert response.headers["X-Request-ID"] == "named-by-the-proxy"
    assert behind.get("/seen", **FORWARDED | {"X_Forwarded_Host": "evil.example"}).status == 400
    origin = {"Origin": "https://www.example.org", "Content_Type": "application/x-www-form-urlencoded"}
    assert behind.get("/act", "POST", "a=1", **FORWARDED, **origin).status == 200
    assert behind.get("/act", "POST", "a=1", **FORWARDED, **origin | {"Origin": "https://evil.example"}).status == 403
    assert behind.get("/healthz", Host="10.0.0.3:8000").status == 200


def test_an_honest_load_drops_no_kept_connection(behind: Server) -> None:
    """32 requests at once that take seconds, on connections that are used again, with one worker."""
    headers = {"Host": "www.example.org"}

    def use(_: int) -> list[tuple[int, str]]:
        connection, got = HTTPConnection("127.0.0.1", behind.port, timeout=20), []
        for seconds in (3, 0.1, 0):
            connection.request("GET", f"/slow?seconds={seconds}", headers=headers)
            connection.auto_open = 0  # a connection that is dropped is an error from now on
            response = connection.getresponse()
            got.append((response.status, response.read().decode()))
        connection.close()
        return got

    with ThreadPoolExecutor(32) as clients:
        assert list(clients.map(use, range(32))) == [[(200, "slept")] * 3] * 32


# Logs


def test_logs_are_json_lines_that_name_the_request_and_hold_no_secret(server: Server) -> None:
    secret = secrets.token_urlsafe(20)
    private = {"Host": "localhost", "Cookie": f"__Host-{SLUG}={secret}", "Authorization": f"Bearer {secret}"}
    referer = f"http://localhost/?token={secret}"
    name = server.get(f"/?token={secret}", Referer=referer, **private).headers["X-Request-ID"]
    evil = {"Origin": "https://evil.example", **private}
    rejected = server.get(f"/act?q={secret}", "POST", f"password={secret}", **evil).headers["X-Request-ID"]
    server.raw(b"BAD REQUEST LINE\r\n\r\n")
    time.sleep(0.2)
    text, lines = server.log.read_text(), server.lines()
    assert secret not in text
    assert server.key not in text
    (access,) = [line for line in lines if line["logger"] == "gunicorn.access" and line.get("request_id") == name]
    assert (access["method"], access["path"], access["status"]) == ("GET", "/", 200)
    assert access["address"] == "127.0.0.1"
    loggers = [line["logger"] for line in lines if line.get("request_id") == rejected]
    assert loggers[-2:] == ["flask_secure.csrf", "gunicorn.access"]
    assert any("Origin is https://evil.example" in str(line["message"]) for line in lines)
    assert any(line["logger"] == "gunicorn.error" and "Listening" in str(line["message"]) for line in lines)
    assert any("rejected: forged" in str(line["message"]) for line in lines)


@pytest.mark.parametrize(
    "path",
    [
        "/forged%5C%22,%22status%22:200,%22x%22:%22",
        "/forged%22,%22status%22:%22200",
        "/forged%0a%7B%22level%22:%22CRITICAL%22%7D",
        "/forged%0d%0a%1b%5b31m",
        "/forged%e2%80%a8%ff%00",
    ],
)
def test_a_path_can_not_forge_a_line_of_the_access_log(server: Server, path: str) -> None:
    name = server.get(path, Host="localhost").headers["X-Request-ID"]
    time.sleep(0.1)
    (line,) = [line for line in server.lines() if line.get("request_id") == name]
    assert line["status"] == 404
    assert str(line["path"]).startswith("/forged")
    assert (line["level"], line["logger"]) == ("INFO", "gunicorn.access")
    assert server.log.read_text().isascii()


def test_a_malformed_request_is_answered_and_logged(server: Server) -> None:
    """gunicorn rejects these itself."""
    before = len([line for line in server.lines() if line.get("status") == 400])
    malformed = [
        request(b"/a", b"Host: localhost", b"Host: evil.example"),
        request(b"/b", b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        request(b"/c", b"Content-Length: -3"),
        request(b"/d", b"X Y: z"),
    ]
    for data in malformed:
        assert server.raw(data).startswith(b"HTTP/1.1 400"), data
    time.sleep(0.2)
    assert len([line for line in server.lines() if line.get("status") == 400]) > before


# Load and hostile clients


@dataclass
class Visitor:
    """A normal client, which visits the page all the while."""

    server: Server
    answers: list[tuple[int, float]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def visit(self) -> None:
        while not self.over.is_set():
            started = time.monotonic()
            try:
                status = self.server.get("/", Host="localhost").status
            except OSError:
                status = 0
            self.answers.append((status, time.monotonic() - started))
            time.sleep(0.05)

    @contextmanager
    def visiting(self) -> Iterator[None]:
        thread = threading.Thread(target=self.visit)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()
        assert {status for status, _ in self.answers} == {200}


def memory(server: Server) -> int:
    """Bytes that the workers have of their own; 0 where the system does not say (Linux does)."""
    if not Path("/proc/self/smaps_rollup").exists():
        return 0
    booted = [str(line["message"]) for line in server.lines() if "Booting worker" in str(line["message"])]
    pids = [message.rsplit(" ", 1)[1] for message in booted]
    assert len(pids) == 2, "a worker has died"
    rolled = "".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(size) * 1024 for size in re.findall(r"^Private_(?:Clean|Dirty): +([0-9]+)", rolled, re.MULTILINE))


def slow_clients(server: Server, count: int, seconds: float) -> None:
    """Clients that send a byte now and then, half of them within the headers and half within the body."""
    whole = request(b"/act", FORM, b"Content-Length: 1000", method=b"POST", body=b"a")
    slow = [server.connect() for _ in range(count)]
    over = time.monotonic() + seconds
    for index, connection in enumerate(slow):
        connection.sendall(whole if index % 2 else whole[:30])
    while time.monotonic() < over:
        time.sleep(0.3)
        for connection in slow:
            with suppress(OSError):
                connection.sendall(b"x")
    for connection in slow:
        connection.settimeout(0.01)
        with connection, suppress(OSError):
            response = connection.recv(65536)
            assert not response or int(response[9:12]) < 500, response


def attack(server: Server) -> None:
    """Every attack, once: no response is 500 or more, and none has what it should not."""
    answered = set()
    for kind, data in attacks():
        response = server.raw(data, half_close=True)
        status = int(response[9:12]) if response.startswith(b"HTTP/1.") else 0
        # RFC 9112, 6.1: 501 for an unknown transfer coding.
        assert status < 500 or (kind, status) == ("smuggle", 501), (kind, data[:200], response[:300])
        assert not (kind == "static" and status == 200 and b"--paper" not in response), "not the style sheet"
        assert not (kind == "host" and status == 200 and b"Host: evil" in data), data
        assert not (kind == "smuggle" and re.search(rb"HTTP/1.1 \d.*HTTP/1.1 [^4]", response, re.DOTALL)), data
        answered.add((kind, status))
    assert answered > {("body", 413), ("body", 400), ("host", 400), ("static", 404), ("smuggle", 400)}
    assert server.logged("/smuggled") == 0


def forge(server: Server, count: int) -> None:
    """Sessions that another key has signed."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    for _ in range(count):
        cookie = f"__Host-{SLUG}={FORGED.format(secrets.token_urlsafe(20))}"
        connection.request("GET", "/seen", headers={"Host": "localhost", "Cookie": cookie})
        response = connection.getresponse()
        assert (response.status, "99" in response.read().decode()) == (200, False)
    connection.close()


def test_200_slow_clients_leave_a_normal_client_its_responses(server: Server) -> None:
    visitor = Visitor(server)
    slow = threading.Thread(target=slow_clients, args=(server, 200, 5))
    slow.start()
    time.sleep(0.5)  # every one of them is connected
    with visitor.visiting():
        slow.join()
    assert len(visitor.answers) > 30
    assert statistics.median(seconds for _, seconds in visitor.answers) < 0.5


def test_clients_that_only_take_up_room(server: Server) -> None:
    """Connections that say nothing, and some that read nothing of their responses."""
    idle = [server.connect() for _ in range(200)]
    deaf = []
    for _ in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.setblocking(False)
        with suppress(OSError):
            connection.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        deaf.append(connection)
    started = time.monotonic()
    for _ in range(5):
        assert server.get("/", Host="localhost").status == 200
    assert time.monotonic() - started < 15
    for connection in [*idle, *deaf]:
        connection.close()
    assert server.get("/", Host="localhost").status == 200


def test_a_hostile_client(server: Server) -> None:
    """The attacks, forged sessions and slow clients at once: no 5xx, nothing hangs, and memory stays flat."""
    used, visitor, lines = [], Visitor(server), len(server.lines())
    with visitor.visiting():
        for _ in range(4):
            slow = threading.Thread(target=slow_clients, args=(server, 30, 3))
            slow.start()
            attack(server)
            forge(server, 1000)
            slow.join()
            used.append(memory(server))
    assert len(visitor.answers) > 50
    assert max(seconds for _, seconds in visitor.answers) < 8
    assert statistics.median(seconds for _, seconds in visitor.answers) < 0.5
    new = server.lines()[lines:]
    assert [line for line in new if line["level"] in ("ERROR", "CRITICAL")] == []
    assert len([line for line in new if "rejected: forged" in str(line["message"])]) <= 6  # of 4000; one a minute
    # The first round loads and caches. A leak grows in each of the others; more threads at once in one of them do not.
    assert min(used[2] - used[1], used[3] - used[2]) < 8_000_000, used


def test_a_stop_lets_requests_under_way_end(installed: Path, tmp_path: Path) -> None:
    with gunicorn(installed, tmp_path) as running, running.connect(timeout=20) as connection:
        head = post(b"a=", FORM, length=b"3")
        connection.sendall(head)
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(running.get, "/slow?seconds=1.5")
            time.sleep(0.5)
            messages = " ".join(str(line["message"]) for line in running.lines())
            found = re.search(r"Listening at: .* \((\d+)\)", messages)
            assert found is not None
            os.kill(int(found[1]), signal.SIGTERM)
            time.sleep(0.5)
            connection.sendall(b"7")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            assert slow.result().text == "slept"
        assert not [line for line in running.lines() if line["level"] in ("ERROR", "CRITICAL")]

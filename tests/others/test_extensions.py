"""Small applications with an extension each, in both orders: what each keeps. `make test-all` runs them."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from index import environment
from support import LIBRARY, clean_environ, free_port, need, production, run

HEAD = """
import logging
from flask import Flask, session
import flask_secure

app = Flask("app")
app.config.update({settings})
{first}
{second}

@app.route("/", methods=["GET", "POST"])
def count():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])

client = app.test_client()
def get(path="/", **headers):
    return client.get(path, base_url="https://localhost", headers=headers)
print("STATUS", get().status_code)
print("FORGED", client.get("/", base_url="https://evil.example").status_code)
cross = client.post("/", base_url="https://localhost", headers={{"Sec-Fetch-Site": "cross-site"}})
print("CROSS", cross.status_code)
{shown}
"""
INIT = "flask_secure.init_app(app)"
PACKAGES = (
    *("flask>=3.1.3,<3.2", "python-dotenv", "flask-session==0.8.0", "cachelib==0.13.0", "redis>=6"),
    *("flask-admin==1.6.1", "setuptools<81", "wtforms<3.2", "flask-talisman==1.1.0", "flask-socketio==5.5.1"),
    "dash==3.2.0",
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with all of the extensions."""
    return environment(tmp_path_factory.mktemp("extensions"), *PACKAGES) / "venv" / "bin" / "python"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of this test's own."""
    port = free_port()
    command = (need("redis-server", "redis-server"), "--port", str(port), "--save", "", "--dir", str(tmp_path))
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["extension first", "library first"])
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def outcome(
    python: Path, folder: Path, order: str, extension: str, *, settings: str = "", shown: str = ""
) -> dict[str, str]:
    """What the application prints, by the first word of each line."""
    first, second = (extension, INIT) if order == "extension first" else (INIT, extension)
    text = HEAD.format(settings=settings, first=first, second=second, shown=shown)
    (folder / "app.py").write_text(text)
    env = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1", **production())
    output = run(python, "app.py", cwd=folder, env=env)
    lines = [line.partition(" ") for line in output.splitlines() if line.split(" ")[0].isupper()]
    found = {word: rest for word, _, rest in lines}
    assert (found["STATUS"], found["FORGED"], found["CROSS"]) == ("200", "400", "403")
    return found


SESSION = "from flask_session import Session; Session(app)"
KEPT = "print('KEPT', type(app.session_interface).__module__, get().text, 'visits' in get().headers['Set-Cookie'])"


def test_flask_session_keeps_its_sessions_in_files(python: Path, tmp_path: Path, order: str) -> None:
    files = "from cachelib.file import FileSystemCache; app.config['SESSION_CACHELIB'] = FileSystemCache('kept')\n"
    settings = "SESSION_TYPE='cachelib'"
    found = outcome(python, tmp_path, order, files + SESSION, settings=settings, shown=KEPT)
    assert found["KEPT"].startswith("flask_session.")
    assert found["KEPT"].endswith("2 False")
    assert list((tmp_path / "kept").iterdir())
    shutil.rmtree(tmp_path / "kept")


def test_flask_session_keeps_its_sessions_in_redis(python: Path, tmp_path: Path, order: str, redis: str) -> None:
    client = f"import redis; app.config['SESSION_REDIS'] = redis.from_url({redis!r})\n"
    found = outcome(python, tmp_path, order, client + SESSION, settings="SESSION_TYPE='redis'", shown=KEPT)
    assert found["KEPT"].startswith("flask_session.")
    assert found["KEPT"].endswith("2 False")


def test_flask_talisman_keeps_its_headers(python: Path, tmp_path: Path, order: str) -> None:
    extension = (
        "from flask_talisman import Talisman\n"
        "Talisman(app, content_security_policy=None, frame_options='SAMEORIGIN', referrer_policy='origin')"
    )
    shown = (
        "h = get().headers\n"
        "print('POLICY', h.get('Content-Security-Policy'))\n"
        "print('FRAME', h.getlist('X-Frame-Options'), h.getlist('Referrer-Policy'))\n"
        "print('OURS', h.get('Cross-Origin-Opener-Policy'))"
    )
    found = outcome(python, tmp_path, order, extension, shown=shown)
    assert found["POLICY"] == "None"
    assert found["FRAME"] == "['SAMEORIGIN'] ['origin']"
    assert found["OURS"] == "same-origin"


def test_flask_admin_works(python: Path, tmp_path: Path, order: str) -> None:
    extension = "from flask_admin import Admin; Admin(app)"
    found = outcome(python, tmp_path, order, extension, shown="print('ADMIN', get('/admin/').status_code)")
    assert found["ADMIN"] == "200"


def test_flask_socketio_works(python: Path, tmp_path: Path, order: str) -> None:
    extension = "from flask_socketio import SocketIO; io = SocketIO(app, async_mode='threading')"
    shown = (
        "r = get('/socket.io/?EIO=4&transport=polling')\n"
        "print('POLL', r.status_code, r.text[:1])\n"
        "c = io.test_client(app); print('CONNECTED', c.is_connected())"
    )
    found = outcome(python, tmp_path, order, extension, shown=shown)
    assert found["POLL"] == "200 0"
    assert found["CONNECTED"] == "True"


def test_dash_works(python: Path, tmp_path: Path, order: str) -> None:
    """Its inline script needs a policy of the owner's: the index page says a nonce or a hash."""
    extension = "import dash; d = dash.Dash(server=app, url_base_pathname='/dash/'); d.layout = dash.html.Div('hello')"
    shown = "print('DASH', get('/dash/').status_code, get('/dash/_dash-layout').status_code)"
    found = outcome(python, tmp_path, order, extension, shown=shown)
    assert found["DASH"] == "200 200"

"""The doctor's look at templates: what a browser would block, with file and line."""

import base64
import hashlib
from pathlib import Path

import pytest
from flask import Config

from flask_secure.policies import library_policy
from flask_secure.policy import Policy
from flask_secure.template_scan import scan

LIBRARY = Policy.of(library_policy(Config("/")))


def lines(folder: Path, text: str, policy: Policy = LIBRARY) -> list[int]:
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates/page.html").write_text(text)
    return [found.line for found in scan(folder, policy)]


@pytest.mark.parametrize(
    "text",
    [
        "<button onclick=\"return confirm('Sure?')\">",
        "<FORM ONSUBMIT='x()'>",
        "<a href='javascript:x()'>",
        "<a href=' JavaScript:x()'>",
        "<script>x()</script>",
        "<script type=module>x()</script>",
        "<script type='text/javascript'>{{ x }}</script>",
        "<style>p {}</style>",
        "<p style='color: red'>",
        "<p {% if x %}style='color: red'{% endif %}>",
        "<p style='{{ x }}'>",
        "<script src='https://cdn.example.org/x.js'></script>",
        "<script src='//cdn.example.org/x.js'></script>",
        "<link rel=stylesheet href='https://cdn.example.org/x.css'>",
        "<link rel='icon' href='https://cdn.example.org/x.ico'>",
        "<img src='https://images.example.org/{{ name }}.png'>",
        "<iframe src='https://frame.example.org'></iframe>",
        "<video poster='https://images.example.org/x.png'></video>",
        "<form action='https://pay.example.org/' method=post>",
        "<button formaction='https://pay.example.org/'>",
        "<base href='https://other.example.org/'>",
    ],
)
def test_what_is_blocked_is_found_in_its_line(tmp_path: Path, text: str) -> None:
    assert lines(tmp_path, f"{{# a\ncomment #}}\n{{% if\nx %}}\n{text}\n{{% endif %}}\n") == [5]


@pytest.mark.parametrize(
    "text",
    [
        "<script nonce='{{ csp_nonce() }}'>x()</script>",
        "<style nonce='{{ csp_nonce() }}'>p {}</style>",
        "<script nonce='{{ csp_nonce() }}' src='https://cdn.example.org/x.js'></script>",
        "<script type='application/json'>{}</script>",
        "<script type='text/template'><p onclick='x()'></script>",
        "<script src='{{ url_for('static', filename='x.js') }}'></script>",
        "<script src='{{ cdn }}/x.js'></script>",
        "<script src='https://{{ cdn }}/x.js'></script>",
        "<img src='/static/x.png' alt='onclick=x'>",
        "<a href='https://other.example.org/'>",
        "<form action='/buy' method=post>",
        "{# <p onclick='x()'> #}",
        "<!-- <p onclick='x()'> -->",
        "<p @click='x()' data-onclick='x()' on='x'>",
    ],
)
def test_what_is_allowed_is_not(tmp_path: Path, text: str) -> None:
    assert lines(tmp_path, text) == []


def test_the_policy_decides(tmp_path: Path) -> None:
    page = (
        "<img src='https://a.example/x'><img src='https://b.example:8443/x'>\n<p style='x'>\n"
        "<script>x()</script>\n<img src='http://c.a.example/x'>\n"
    )
    assert lines(tmp_path, page) == [1, 1, 2, 3, 4]
    assert lines(tmp_path, page, Policy({})) == []
    allowed = {"img-src": ["https://a.example", "*.a.example", "b.example:8443"], "style-src": ["'unsafe-inline'"]}
    assert lines(tmp_path, page, Policy(allowed)) == []
    assert lines(tmp_path, page, Policy({"img-src": ["https:"], "default-src": ["'unsafe-inline'"]})) == [4]
    digest = base64.b64encode(hashlib.sha256(b"x()").digest()).decode()
    by_hash = Policy({"script-src": [f"'sha256-{digest}'"]})
    assert lines(tmp_path, "<script>x()</script>\n<script>y()</script>", by_hash) == [2]


def test_blueprints_are_read_and_other_peoples_code_is_not(tmp_path: Path) -> None:
    for folder in (".venv/templates", "node_modules/x/templates", "env/lib/templates", "admin/templates/admin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.html").write_text("<p onclick='x()'>")
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / "x.html").write_text("<p onclick='x()'>")
    (tmp_path / "admin/templates/bad.html").write_bytes(b"\xff")
    (tmp_path / "admin/gone.py").symlink_to("nowhere")
    (tmp_path / "admin/templates/gone.html").symlink_to("nowhere")
    found = [str(each.path.relative_to(tmp_path)) for each in scan(tmp_path, LIBRARY)]
    assert found == ["admin/templates/admin/x.html"]


def test_an_origin_that_an_override_names_is_not_judged(tmp_path: Path) -> None:
    page = "<form action='https://pay.example.org/'>\n<form action='https://other.example.org/'>"
    assert lines(tmp_path, page) == [1, 2]
    view = "@csp_override(add={'form-action': ['https://pay.example.org']})"
    (tmp_path / "views.py").write_text(view)
    assert lines(tmp_path, page) == [2]

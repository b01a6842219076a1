"""A policy that is only tried: what is sent of it, and to where browsers are told to report."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask, render_template_string
from support import clean_environ

import flask_secure
from flask_secure.policies import library_policy
from flask_secure.policy import Policy

ENFORCED, TRIED = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
INLINE = "<body><script nonce='{{ csp_nonce() }}'></script></body>"


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An application's folder without files."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    variables = clean_environ(SECRET_KEY=secrets.token_hex(32), TRUSTED_HOSTS="localhost")
    with patch.dict(os.environ, variables, clear=True):
        yield tmp_path


def make(root: Path, env: str = "production", **settings: Any) -> Flask:
    app = Flask("shop", root_path=str(root))
    app.config.update(settings)
    flask_secure.init_app(app, env)
    app.add_url_rule("/", "page", lambda: "<body>page</body>")
    app.add_url_rule("/inline", "inline", lambda: render_template_string(INLINE))
    return app


def sent(app: Flask, path: str = "/", scheme: str = "https", **environ: str) -> dict[str, str]:
    response = app.test_client().get(path, base_url=f"{scheme}://localhost", environ_overrides=environ)
    assert response.status_code == 200
    return dict(response.headers)


def test_nothing_is_tried_unless_it_is_asked_for(root: Path) -> None:
    headers = sent(make(root))
    assert TRIED not in headers
    assert "report-" not in headers[ENFORCED]


def test_true_is_the_librarys_policy_whatever_is_enforced(root: Path) -> None:
    """It stands beside the enforced policy, or instead of it."""
    enforced = {"script-src": ["'self'", "https://cdn.example.org"]}
    settings: dict[str, Any]
    for settings in ({"CONTENT_SECURITY_POLICY": enforced}, {"CONTENT_SECURITY_POLICY": None}):
        app = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY=True, **settings)
        headers = sent(app)
        assert headers[TRIED] == Policy.of(library_policy(app.config)).header()
        assert "cdn.example.org" not in headers[TRIED]
        assert (ENFORCED in headers) == bool(settings["CONTENT_SECURITY_POLICY"])


def test_its_layers_merge_by_name_from_an_empty_one(root: Path) -> None:
    name = "CONTENT_SECURITY_POLICY_REPORT_ONLY"
    (root / "config/default.py").write_text(f"{name} = {{'img-src': [\"'self'\"], 'font-src': [\"'none'\"]}}\n")
    (root / "config/production.py").write_text(f"{name} = {{'FONT-SRC': None, 'media-src': ['https://m.example']}}\n")
    assert sent(make(root))[TRIED] == "img-src 'self'; media-src https://m.example"
    with patch.dict(os.environ, {f"FLASK_{name}__img-src": '["https://i.example"]'}):
        assert sent(make(root))[TRIED] == "img-src https://i.example; media-src https://m.example"
    with patch.dict(os.environ, {f"FLASK_{name}": "true"}):
        assert "default-src 'none'" in sent(make(root))[TRIED]


def test_both_policies_have_the_same_nonce_where_they_restrict(root: Path) -> None:
    headers = sent(make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY=True), "/inline")
    nonce = headers[ENFORCED].partition("'nonce-")[2].partition("'")[0]
    assert nonce
    assert headers[TRIED].count(f"'nonce-{nonce}'") == 2
    # A nonce must not make a directive of what the policy leaves open: every script would be a violation.
    only_images = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY={"img-src": ["'self'"]})
    assert sent(only_images, "/inline")[TRIED] == "img-src 'self'"
    for_elements = make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY={"script-src-elem": ["'self'"]})
    assert "script-src-elem 'self' 'nonce-" in sent(for_elements, "/inline")[TRIED]


@pytest.mark.parametrize(
    ("tried", "id"),
    [
        ({"img-src": ["self"]}, "csp-format"),
        ({"img-src": "'self'"}, "csp-format"),
        ({"img-src; x": ["'self'"]}, "csp-format"),
        (["img-src"], "setting-type"),
        ("true", "setting-type"),
        (1, "setting-type"),
    ],
)
def test_a_mistake_in_it_is_rejected(root: Path, tried: Any, id: str) -> None:
    with pytest.raises(flask_secure.StartupError) as rejected:
        make(root, CONTENT_SECURITY_POLICY_REPORT_ONLY=tried)
    assert {problem.id for problem in rejected.value.problems} == {id}


def test_the_header_in_security_headers_is_rejected(root: Path) -> None:
    with pytest.raises(flask_secure.StartupError) as rejected:
        make(root, SECURITY_HEADERS={TRIED.lower(): "img-src 'self'"})
    assert {problem.id for problem in rejected.value.problems} == {"header-format"}


def test_browsers_are_told_where_to_report(root: Path) -> None:
    """By report-uri, below the path that the application is mounted at; by report-to too where it is https."""
    app = make(root, CSP_REPORTS=True, CONTENT_SECURITY_POLICY_REPORT_ONLY={"img-src": ["'self'"]})
    headers = sent(app)
    for name in (ENFORCED, TRIED):
        assert headers[name].endswith("; report-uri /_csp_reports; report-to csp")
    assert headers["Reporting-Endpoints"] == 'csp="/_csp_reports"'
    headers = sent(app, SCRIPT_NAME="/a shop;x")
    assert headers[TRIED].endswith("; report-uri /a%20shop%3Bx/_csp_reports; report-to csp")
    assert headers["Reporting-Endpoints"] == 'csp="/a%20shop%3Bx/_csp_reports"'
    headers = sent(app, scheme="http")
    assert headers[TRIED].endswith("; report-uri /_csp_reports")
    assert "Reporting-Endpoints" not in headers


def test_in_development_report_uri_stands_alone(root: Path) -> None:
    """With report-to beside it, Chromium sent nothing there."""
    for scheme in ("http", "https"):
        headers = sent(make(root, "development"), scheme=scheme)
        assert headers[ENFORCED].endswith("; report-uri /_csp_reports")
        assert "Reporting-Endpoints" not in headers


@pytest.mark.parametrize("own", [{"report-uri": ["https://r.example/csp"]}, {"report-to": ["own"]}])
def test_an_owners_own_reporting_wins(root: Path, own: dict[str, list[str]]) -> None:
    app = make(root, CSP_REPORTS=True, CONTENT_SECURITY_POLICY=own)
    headers = sent(app)
    assert "_csp_reports" not in headers[ENFORCED]
    assert "Reporting-Endpoints" not in headers
    own_endpoint = {"Reporting-Endpoints": 'csp="https://r.example"'}
    headers = sent(make(root, CSP_REPORTS=True, SECURITY_HEADERS=own_endpoint))
    assert headers["Reporting-Endpoints"] == own_endpoint["Reporting-Endpoints"]
    assert "report-to" not in headers[ENFORCED]

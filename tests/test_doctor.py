"""The doctor: no problem in a new service, each wrong thing found by its id, and fixes that fix."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from flask import Config, Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support import (
    LIBRARY,
    SETTINGS,
    SLUG,
    OwnService,
    Project,
    bake,
    clean_environ,
    commit_all,
    import_history,
    key_of,
    run,
)

import flask_secure
from flask_secure import policies, template_scan
from flask_secure.__main__ import main
from flask_secure.checks import reasons
from flask_secure.policy import Policy

GOOD, OLD = secrets.token_hex(32), secrets.token_hex(32)
PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": GOOD, "TRUSTED_HOSTS": "localhost"}
HOSTILE = """it's "$(touch RAN)" `touch RAN`;touch RAN &&\x1b[31m|>RAN"""

Problems = list[dict[str, str]]


class Service:
    """A generated service, examined in this process; its package is found but never imported."""

    def __init__(self, path: Path) -> None:
        self.path, self.key = path, key_of(path)

    def invoke(self, *arguments: str, code: int | None = None, **variables: str) -> str:
        """The output of `python -m flask_secure` with `variables`. No key is in it."""
        with patch.dict(os.environ, clean_environ(FLASK_APP=SLUG, **variables), clear=True):
            result = CliRunner().invoke(main, arguments)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert code is None or result.exit_code == code, result.output
        for key in (GOOD, OLD, self.key):
            assert key not in result.output
        return result.output

    def doctor(self, *arguments: str, **variables: str) -> Problems:
        problems: Problems = json.loads(self.invoke("doctor", "--json", *arguments, **variables))["findings"]
        for problem in problems:
            assert problem.keys() == {"id", "message", "fix", "level"}
            assert problem["level"] in ("error", "warning")
            assert problem["message"].isprintable()  # a line, without control characters
            assert problem["fix"]
            assert problem["fix"].isprintable()
        return problems

    def ids(self, *arguments: str, **variables: str) -> set[str]:
        return {problem["id"] for problem in self.doctor(*arguments, **variables)}

    def fix_of(self, id: str, **variables: str) -> str:
        return next(each["fix"] for each in self.doctor(**variables) if each["id"] == id)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o600)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new))

    def shell(self, line: str, **variables: str) -> dict[str, str]:
        """Run a line in a shell, as someone who copies it would; the variables that the shell has afterwards."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = clean_environ(
            PATH=path, PYTHONPATH=str(self.path / "src"), FLASK_APP=SLUG, PYTHONDONTWRITEBYTECODE="1"
        )
        names = {**environ, **variables}
        output = run("sh", "-c", f"{line.replace('uv run ', '')}\nenv -0", cwd=self.path, env=names)
        shown = dict(entry.partition("=")[::2] for entry in output.split("\0"))
        return {name: value for name, value in shown.items() if name.startswith(SETTINGS) and name != "FLASK_APP"}


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(tmp_path_factory.mktemp("doctor"))


def copied(baked: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A copy of a generated service at `path`, which becomes the working folder."""
    shutil.copytree(baked, path)
    monkeypatch.chdir(path)
    monkeypatch.setattr(sys, "path", [str(path / "src"), *sys.path])
    monkeypatch.delitem(sys.modules, SLUG, raising=False)
    return Service(path)


@pytest.fixture
def service(baked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    yield copied(baked, tmp_path / SLUG, monkeypatch)
    assert SLUG not in sys.modules, "the doctor has run the application"


@dataclass
class Wrong:
    """One wrong thing: variables (None for one that is not set), lines for instance/config.py, or something done."""

    id: str
    variables: dict[str, str | None] = field(default_factory=dict)
    instance: str = ""
    do: Callable[[Service], object] | None = None
    development: bool = False
    fixable: bool = True
    leaves: str = ""  # a problem that is there once this one is fixed

    def __str__(self) -> str:
        return self.id

    def make(self, service: Service) -> dict[str, str]:
        """Make it wrong; the variables to examine it with."""
        if self.instance:
            service.write("instance/config.py", self.instance)
        if self.do:
            self.do(service)
        variables = {**({} if self.development else PRODUCTION), **self.variables}
        return {name: value for name, value in variables.items() if value is not None}


def env_file(text: str) -> Callable[[Service], object]:
    return lambda service: service.write(".env", text)


def secret_file(text: str) -> Callable[[Service], object]:
    return lambda service: service.write("../secret_key", text)


def silencing(checks: dict[str, str]) -> Callable[[Service], object]:
    text = f"SILENCED_CHECKS = {checks!r}\n"
    return lambda service: service.write(f"src/{SLUG}/config/production.py", text)


def readable_token(service: Service) -> None:
    service.write("../token", OLD)
    (service.path / "../token").chmod(0o644)


def remove(name: str) -> Callable[[Service], object]:
    return lambda service: (service.path / name).unlink()


def tracked_env(service: Service) -> None:
    commit_all(service.path)
    run("git", "add", "--force", ".env", cwd=service.path)


def key_in_history(service: Service) -> None:
    service.write("notes.txt", f"the key is {service.key}\n")
    commit_all(service.path)
    run("git", "rm", "--quiet", "notes.txt", cwd=service.path)
    commit_all(service.path)


def unreadable_env(service: Service) -> None:
    (service.path / ".env").write_bytes(b"APP_ENV=development\nA=\xff\n")


def no_repository(service: Service) -> None:
    (service.path / ".git" / "HEAD").write_text("nothing")


def lost_object(service: Service) -> None:
    commit_all(service.path)
    blob = run("git", "rev-parse", "HEAD:README.md", cwd=service.path).strip()
    (service.path / ".git/objects" / blob[:2] / blob[2:]).unlink()


def header(name: str, value: str | None = None) -> str:
    return f"SECURITY_HEADERS = {{{name!r}: {value!r}}}\n"


def policy(name: str, *sources: str) -> str:
    return f"CONTENT_SECURITY_POLICY = {{{name!r}: {list(sources) or None!r}}}\n"


def planted(text: str) -> Callable[[Service], object]:
    """A template of the service's own, with `text`."""
    return lambda service: service.write(f"src/{SLUG}/templates/own.html", text)


def half_promoted(service: Service) -> None:
    service.write("../secret_key", OLD)
    service.write("../secret_key_next", OLD)


WRONG = [
    Wrong("key-missing", {"SECRET_KEY": None}),
    Wrong("key-missing", do=env_file("APP_ENV=development\n"), development=True),
    Wrong("key-missing", do=remove(".env"), development=True),
    Wrong("key-empty", {"SECRET_KEY": ""}),
    Wrong("key-short", {"SECRET_KEY": "aB3xyz9QW"}),
    Wrong("key-short", {"SECRET_KEY_FALLBACKS": f"{OLD},aB3xyz9QW"}),
    Wrong("key-short", {"SECRET_KEY_NEXT": "aB3xyz9QW"}),
    Wrong("key-placeholder", {"SECRET_KEY": "changeme"}),
    Wrong("key-patterned", {"SECRET_KEY": "0123456789abcdef" * 4}),
    Wrong("key-characters", {"SECRET_KEY": f" {GOOD}"}),
    Wrong("key-characters", {"SECRET_KEY": f"é{GOOD}"}),
    Wrong("key-type", {"SECRET_KEY": None}, "SECRET_KEY = 12\n", fixable=False),
    Wrong("key-repeated", {"SECRET_KEY_NEXT": GOOD}),
    Wrong("key-repeated", {"SECRET_KEY_FALLBACKS": f"{OLD},{OLD}"}),
    Wrong("key-prefixed", {"FLASK_SECRET_KEY": GOOD}),
    Wrong("key-prefixed", {"FLASK_SECRET_KEY__X": "1"}),
    Wrong("key-prefixed", {"FLASK_SECRET_KEY_FILE": "nowhere"}),
    Wrong("key-repeated", {"SECRET_KEY": None, "SECRET_KEY_FILE": "../secret_key"}, do=half_promoted),
    Wrong("key-twice", {"SECRET_KEY_FILE": "../secret_key"}, do=secret_file(OLD)),
    Wrong("key-development", do=env_file(f"SECRET_KEY={GOOD}\n")),
    Wrong("file-name", {"SECRET_KEY": None, "SECRET_KEY_FILE": ""}, leaves="key-missing"),
    Wrong("file-name", {"SECRET_KEY_NEXT_FILE": "../secret_key"}),
    Wrong("file-unreadable", {"SECRET_KEY": None, "SECRET_KEY_FILE": "nowhere"}, fixable=False),
    Wrong("file-mode", do=lambda service: (service.path / ".env").chmod(0o640)),
    Wrong("file-mode", instance="A = 1\n", do=lambda service: (service.path / "instance/config.py").chmod(0o644)),
    Wrong("env-file", do=unreadable_env, development=True, fixable=False),
    Wrong("env-unset", do=lambda service: service.replace(".env", "APP_ENV=development\n", ""), development=True),
    Wrong("env-unknown", {"APP_ENV": "staging"}),
    Wrong("env-unknown", do=env_file(f"APP_ENV=staging\nSECRET_KEY={OLD}\n"), development=True, fixable=False),
    Wrong("config-file", instance="SECRET_KEY = (\n", fixable=False),
    Wrong("config-file", instance="1 / 0\n", fixable=False),
    Wrong("git-not-ignored", do=lambda service: service.replace(".gitignore", ".env*\n*.env\n", "")),
    Wrong("git-not-ignored", do=lambda service: service.write("copy", service.key)),
    Wrong("git-not-ignored", do=tracked_env),
    Wrong("git-history", do=key_in_history, fixable=False),
    Wrong("git-unreadable", do=no_repository, fixable=False),
    Wrong("git-unreadable", do=lost_object, fixable=False),
    Wrong("setting-type", {"FLASK_SESSION_COOKIE_NAME": "5"}),
    Wrong("setting-type", {"FLASK_MAX_CONTENT_LENGTH": "2M"}),
    Wrong("setting-type", {"FLASK_MAX_CONTENT_LENGTH__X": "1"}),
    Wrong("key-short", {"SECRET_KEY": "aB3xyz9QW", "APP_ENV": "development"}, development=True),
    Wrong("setting-type", {"FLASK_PERMANENT_SESSION_LIFETIME": "soon"}),
    Wrong("session-lifetime", {"FLASK_PERMANENT_SESSION_LIFETIME": "0"}),
    Wrong("session-lifetime", instance="from datetime import timedelta as T\nPERMANENT_SESSION_LIFETIME = T(0)\n"),
    Wrong("session-lifetime", instance="from datetime import timedelta as T\nPERMANENT_SESSION_LIFETIME = T(-1)\n"),
    Wrong("setting-type", instance="SECURITY_HEADERS = 5\n"),
    Wrong("setting-twice", {"FLASK_API_TOKEN": "a", "FLASK_API_TOKEN_FILE": "../secret_key"}, do=secret_file("b")),
    Wrong("setting-twice", {"TRUSTED_HOSTS_FILE": "../secret_key"}, do=secret_file("localhost")),
    Wrong("file-unreadable", {"FLASK_API_TOKEN_FILE": "nowhere"}, fixable=False),
    Wrong("file-mode", {"FLASK_API_TOKEN_FILE": "../token"}, do=lambda service: readable_token(service)),
    Wrong("git-not-ignored", {"FLASK_API_TOKEN_FILE": "token.txt"}, do=lambda service: service.write("token.txt", OLD)),
    Wrong("check-missing", {"FLASK_CHECKS": '["no.such:check"]'}),
    Wrong("check-failed", {"FLASK_CHECKS": '["json:loads"]'}, fixable=False),
    Wrong("silenced-checks", {"FLASK_SILENCED_CHECKS": '{"limit-body": "large"}'}),
    Wrong("silenced-checks", do=silencing({"limit-body": ""})),
    Wrong("silenced-checks", do=silencing({"limit-body": "not found here"})),
    Wrong("silenced-checks", do=silencing({"no-such-check": "why"})),
    Wrong("silenced-checks", do=silencing({"hosts-format": "start-up rejects it"})),
    Wrong("silenced-checks", do=silencing({"git-history": "a key is never silenced"})),
    Wrong("propagate", {"FLASK_PROPAGATE_EXCEPTIONS": "true"}),
    Wrong("hosts-missing", {"TRUSTED_HOSTS": None}),
    Wrong("hosts-missing", {"TRUSTED_HOSTS": " "}),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "*"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "https://example.org"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "localhost,*"}),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "my_service"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "bücher.example"}),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "localhost:8000"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "::1"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "[::1"}, leaves="hosts-missing"),
    Wrong("hosts-format", {"TRUSTED_HOSTS": None}, "TRUSTED_HOSTS = ['a.example', '*']\n"),
    Wrong("fallbacks-type", {"SECRET_KEY": None}, f"SECRET_KEY, SECRET_KEY_FALLBACKS = '{GOOD}', '{OLD}'\n"),
    Wrong("proxies-format", {"TRUSTED_PROXIES": "yes"}),
    Wrong("csrf-origins", {"FLASK_CSRF_TRUSTED_ORIGINS": '["*"]'}),
    Wrong("csrf-origins", {"FLASK_CSRF_TRUSTED_ORIGINS": '["https://a.example.org", ""]'}),
    Wrong("csrf-origins", {"FLASK_CSRF_TRUSTED_ORIGINS": '["https://a.example.org:443"]'}),
    Wrong("csrf-origins", {"FLASK_CSRF_TRUSTED_ORIGINS": '["https://A.example.org", "https://a.example.org/"]'}),
    Wrong("cookie-secure", {"FLASK_SESSION_COOKIE_SECURE": "false"}),
    Wrong("cookie-secure", instance="SESSION_COOKIE_SECURE = False\n"),
    Wrong("cookie-httponly", {"FLASK_SESSION_COOKIE_HTTPONLY": "false"}),
    Wrong("cookie-samesite", {"FLASK_SESSION_COOKIE_SAMESITE": "None"}),
    Wrong("cookie-samesite", {"FLASK_SESSION_COOKIE_SAMESITE": "Laxx"}),
    Wrong("cookie-name", instance="SESSION_COOKIE_NAME = '__Host-\\r'\n"),
    Wrong("cookie-path", instance="SESSION_COOKIE_PATH = '/; Domain=example.org'\n", development=True),
    Wrong("cookie-prefix", {"FLASK_SESSION_COOKIE_NAME": "session"}),
    Wrong("cookie-prefix", {"FLASK_SESSION_COOKIE_PATH": "/app"}),
    Wrong("cookie-domain", {"FLASK_SESSION_COOKIE_DOMAIN": "localhost"}),
    Wrong("cookie-prefix", {"FLASK_SESSION_COOKIE_NAME": "__Secure-session"}),
    Wrong("cookie-dropped", {"FLASK_SESSION_COOKIE_NAME": "__Host-x"}, development=True),
    Wrong("cookie-dropped", {"FLASK_SESSION_COOKIE_NAME": "__secure-x"}, development=True),
    Wrong("header-format", instance=header("X-A", "a\nb")),
    Wrong("header-format", instance=header("X A", "a")),
    Wrong("header-format", instance=header("content-security-policy", "default-src *")),
    Wrong("header-hsts", instance=header("strict-transport-security", "max-age=0")),
    Wrong("header-hsts", {"FLASK_STRICT_TRANSPORT_SECURITY": "max-age=10000000"}),
    Wrong("header-hsts", {"FLASK_STRICT_TRANSPORT_SECURITY": "includeSubDomains"}),
    Wrong("header-nosniff", instance=header("x-content-type-options", "sniff")),
    Wrong("header-hsts", instance="STRICT_TRANSPORT_SECURITY = None\n"),
    Wrong("header-hsts", {"FLASK_STRICT_TRANSPORT_SECURITY": "max-age=3600"}),
    Wrong("hsts-format", {"FLASK_STRICT_TRANSPORT_SECURITY": "max-age=31536000\r\nX-A: b"}),
    Wrong("header-nosniff", instance=header("X-Content-Type-Options")),
    Wrong("header-frame-options", instance=header("X-Frame-Options")),
    Wrong("header-referrer", instance=header("Referrer-Policy")),
    Wrong("header-referrer", instance=header("Referrer-Policy", "no-referrer")),
    Wrong("header-coop", instance=header("Cross-Origin-Opener-Policy", "unsafe-none")),
    Wrong("header-corp", instance=header("Cross-Origin-Resource-Policy")),
    Wrong("header-permissions", instance=header("Permissions-Policy")),
    Wrong("header-cors", instance=header("Access-Control-Allow-Origin", "*")),
    Wrong("csp-format", instance=policy("img-src", "self")),
    Wrong("csp-format", instance=policy("img-src", "https://x;script-src-elem *")),
    Wrong("csp-format", instance="CONTENT_SECURITY_POLICY_REPORT_ONLY = {'img-src': ['self']}\nCSP_REPORTS = True\n"),
    Wrong("csp-template", do=planted("<p onclick='confirm()'>"), fixable=False),
    Wrong("csp-template", do=planted("<script src='https://cdn.example.org/x.js'></script>"), fixable=False),
    Wrong("csp-unheard", instance="CONTENT_SECURITY_POLICY_REPORT_ONLY = True\n"),
    Wrong("csp-unsafe", instance=policy("script-src", "'self'", "'unsafe-inline'")),
    Wrong("csp-unsafe", instance=policy("style-src", "'unsafe-inline'")),
    Wrong("csp-unsafe", instance=policy("script-src", "'unsafe-eval'")),
    Wrong("csp-unsafe", instance=policy("img-src", "*")),
    Wrong("csp-unsafe", instance=policy("script-src", "https:")),
    Wrong("csp-unsafe", instance=policy("script-src", "data:")),
    Wrong("csp-unsafe", instance=policy("script-src", "http://cdn.example.org")),
    Wrong("csp-unsafe", instance=policy("script-src", "'self'", "'UNSAFE-INLINE'")),
    Wrong("csp-unsafe", instance=policy("Script-Src", "HTTPS:")),
    Wrong("csp-unsafe", instance=policy("script-src", "https://*:*")),
    Wrong("csp-unsafe", instance=policy("script-src", "*:443")),
    Wrong("csp-unsafe", instance=policy("script-src", "WSS:")),
    Wrong("csp-format", instance=policy("script-src", "'self'", "NONCE-abc")),
    Wrong("csp-default-src", instance=policy("default-src")),
    Wrong("csp-object-src", instance=policy("object-src")),
    Wrong("csp-base-uri", instance=policy("base-uri")),
    Wrong("csp-form-action", instance=policy("form-action")),
    Wrong("csp-frame-ancestors", instance=policy("frame-ancestors")),
    Wrong("limit-body", {"FLASK_MAX_CONTENT_LENGTH": "null"}),
    Wrong("limit-body", {"FLASK_MAX_CONTENT_LENGTH": "1000000000"}),
    Wrong("limit-form-memory", {"FLASK_MAX_FORM_MEMORY_SIZE": "null"}),
    Wrong("limit-form-parts", {"FLASK_MAX_FORM_PARTS": "null"}),
]

# Problems that come along, since they follow from the same thing.
ALONG = {
    "env-unset": {"hosts-missing", "key-missing"},
    "cookie-domain": {"cookie-prefix"},
    "hsts-format": {"header-hsts"},
}


def apply(service: Service, fix: str, variables: dict[str, str]) -> dict[str, str]:
    """Do what a fix says; the variables afterwards."""
    if setting := re.fullmatch(r"(\w+ = .+)  # in ([^\s;]+)", fix):
        path = service.path / (f"src/{SLUG}/{setting[2]}" if setting[2].startswith("config/") else setting[2])
        with path.open("a") as file:
            file.write(f"{setting[1]}\n")
        return variables
    return service.shell(fix, **variables)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_each_wrong_thing_is_found_and_its_fix_fixes_it(service: Service, wrong: Wrong) -> None:
    variables = wrong.make(service)
    problems = service.doctor(**variables)
    ids = {problem["id"] for problem in problems}
    assert wrong.id in ids
    assert ids <= {wrong.id} | ALONG.get(wrong.id, set())
    for problem in problems if wrong.fixable else ():
        variables = apply(service, problem["fix"], variables)
    if wrong.fixable:
        assert service.ids(**variables) == {wrong.leaves} - {""}


def test_every_id_has_a_case_here() -> None:
    sources = "\n".join(path.read_text() for path in LIBRARY.rglob("*.py"))
    ids = set(re.findall(r"""(?:Problem|unusable)\(\s*"([a-z]+-[a-z-]*)""", sources))
    known = set(reasons.reasons())
    assert len(known) > 60
    assert ids <= known
    # Of `flask run`, of `flask key`, of tests/test_history.py and of tests/test_adoption.py.
    others = {"env-foreign", "toolbar-missing", "file-unwritable", "git-partial"}
    others |= {"env-testing", "parts-format", "settings-format", "init-twice", "debugger"}
    others |= {"dependency-old", "csrf-schemes", "key-late", "load-failed", "ring-ignored"}
    others |= {"reports-route", "route-override", "route-order"}  # tests/test_reports.py, tests/test_routes.py
    assert known - {wrong.id for wrong in WRONG} == others


def test_the_readmes_table_is_that_of_the_checks() -> None:
    """To write it again: python -c 'from flask_secure.checks import reasons; print(reasons.table())'"""
    assert reasons.table() in (LIBRARY / "README.md").read_text()


def test_each_problem_is_explained(service: Service) -> None:
    for id, (at_startup, texts) in reasons.reasons().items():
        output = service.invoke("doctor", "--explain", id, code=0)
        assert all(text in output for text in texts)
        assert ("Start-up rejects it" in output) == at_startup
    assert "limit-body" in service.invoke("doctor", "--explain", "nothing", code=1)


def test_a_new_service_has_no_problem(service: Service) -> None:
    for commit in (False, True):
        if commit:
            commit_all(service.path)
        assert service.doctor() == []
        assert service.doctor(APP_ENV="testing") == []
        assert service.doctor("--env", "testing") == []
        assert service.doctor(**PRODUCTION) == []
        assert service.doctor("--env", "production", **PRODUCTION | {"APP_ENV": "development"}) == []
    assert "no problem" in service.invoke("doctor", "--strict", code=0)


@pytest.mark.parametrize("data", ["database", "accounts"])
def test_no_template_of_a_bake_is_blocked(tmp_path: Path, data: str) -> None:
    library = Policy.of(policies.library_policy(Config("/")))
    package = bake(tmp_path, data=data) / "src" / SLUG
    assert list(template_scan.templates(package))
    assert list(template_scan.scan(package, library)) == []


def test_the_exit_code_says_whether_there_is_an_error(service: Service) -> None:
    error = {**PRODUCTION, "SECRET_KEY": "changeme"}
    warning = {**PRODUCTION, "FLASK_SECURITY_HEADERS__X-Frame-Options": "ALL"}
    service.invoke("doctor", code=0, **PRODUCTION)
    service.invoke("doctor", code=0, **warning)
    service.invoke("doctor", "--strict", code=1, **warning)
    service.invoke("doctor", code=1, **error)
    service.invoke("doctor", "--json", code=1, **error)
    service.invoke("doctor", "--json", code=0, **warning)


def test_the_environment_is_named_and_errors_come_first(service: Service) -> None:
    variables = {**PRODUCTION, "FLASK_SECURITY_HEADERS__X-Frame-Options": "ALL", "FLASK_MAX_CONTENT_LENGTH": "null"}
    report = json.loads(service.invoke("doctor", "--json", **variables))
    assert report["environment"] == "production"
    assert [problem["level"] for problem in report["findings"]] == ["error", "warning"]
    text = service.invoke("doctor", **variables)
    assert "production: 2 problems" in text
    for problem in report["findings"]:
        assert all(problem[part] in text for part in ("id", "message", "fix", "level"))


def test_an_unknown_environment_is_named_where_it_was_given(service: Service) -> None:
    output = service.invoke("doctor", "--env", "staging", code=2)
    assert "--env" in output
    assert "production" in output
    assert "create_app" not in output


def test_a_fix_names_what_has_set_the_value(service: Service) -> None:
    variable = {"FLASK_SESSION_COOKIE_SECURE": "false"}
    assert service.fix_of("cookie-secure", **PRODUCTION, **variable) == "unset FLASK_SESSION_COOKIE_SECURE"
    service.write("instance/config.py", "SESSION_COOKIE_SECURE = False\n")
    assert service.fix_of("cookie-secure", **PRODUCTION).endswith("# in instance/config.py")
    assert service.fix_of("cookie-secure", **PRODUCTION, **variable) == "unset FLASK_SESSION_COOKIE_SECURE"
    (service.path / "instance/config.py").unlink()
    for name in ("default", "production"):
        service.write(f"src/{SLUG}/config/{name}.py", "SESSION_COOKIE_SECURE = False\n")
        assert service.fix_of("cookie-secure", **PRODUCTION).endswith(f"# in config/{name}.py")


def test_a_fix_names_env_where_that_has_set_the_value(service: Service) -> None:
    service.write(".env", f"APP_ENV=development\nSECRET_KEY={service.key}\nFLASK_MAX_CONTENT_LENGTH=null\n")
    assert ".env" in service.fix_of("limit-body")


@pytest.mark.parametrize("setting", ["STRICT_TRANSPORT_SECURITY", "SECURITY_HEADERS__X-Frame-Options"])
def test_a_header_with_a_newline_at_its_end_is_rejected(service: Service, setting: str) -> None:
    """A platform that reads a variable from a file may leave it there."""
    values = {"STRICT_TRANSPORT_SECURITY": "max-age=31536000\n", "SECURITY_HEADERS__X-Frame-Options": "DENY\n"}
    assert service.ids(**PRODUCTION, **{f"FLASK_{setting}": values[setting]}) & {"hsts-format", "header-format"}


def test_a_hostile_variable_is_one_word_of_the_fix(service: Service) -> None:
    name = f"FLASK_MAX_CONTENT_LENGTH__{HOSTILE}"
    fix = service.fix_of("setting-type", **PRODUCTION, **{name: "1"})
    run("sh", "-c", fix, cwd=service.path, code=None)
    assert not (service.path / "RAN").exists()


def test_fixes_hold_in_a_hostile_folder(baked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name has quotes, commands and an escape sequence; the fixes fix, and run nothing else."""
    service = copied(baked, tmp_path / HOSTILE.replace("/", "").replace("\x1b", "") / SLUG, monkeypatch)
    (service.path / ".env").chmod(0o644)
    service.write("a copy", service.key)
    problems = service.doctor()
    assert {each["id"] for each in problems} == {"file-mode", "git-not-ignored"}
    for problem in problems:
        service.shell(problem["fix"])
    assert service.doctor() == []
    assert not [*tmp_path.rglob("RAN")]


def test_control_characters_of_a_path_are_not_printed(
    baked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = copied(baked, tmp_path / "a\x1b[31m\nb" / SLUG, monkeypatch)
    (service.path / ".env").chmod(0o644)
    assert service.ids() == {"file-mode"}  # `doctor` looks at the text
    (service.path / ".env").unlink()
    assert service.ids() == {"key-missing"}
    (service.path.parent / ".env").touch()
    assert service.ids(**PRODUCTION) == {"env-foreign"}


NAMES = [
    "plain", "two words", "it's", 'a "quote"', "$(touch RAN)", "`touch RAN`", "a;touch RAN", "a\nb", "a\x1b(m", "é",
    "-q", "--help", "!a", "#a", "a&&touch RAN", "a|touch RAN", "*", "[a]", "a\\tb",
]  # fmt: skip


def test_a_fix_takes_a_file_of_any_name_out_of_git(service: Service) -> None:
    for name in NAMES:
        service.write(name, f"key: {service.key}\n")
    commit_all(service.path)
    tracked = run("git", "ls-files", "-z", cwd=service.path).split("\0")
    problems = [each for each in service.doctor() if each["id"] == "git-not-ignored"]
    assert len(problems) == len(NAMES)
    for problem in problems:
        service.shell(problem["fix"])
    assert "git-not-ignored" not in service.ids()
    assert not [*service.path.rglob("RAN")]
    left = run("git", "ls-files", "-z", cwd=service.path).split("\0")
    assert set(left) == set(tracked) - set(NAMES), "only they were taken out"


@given(name=st.text(st.sampled_from("a'\"$();`|&<> \n\t\x1b\\*?[!#é-"), min_size=1, max_size=12))
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_fix_is_one_line_that_runs_nothing_of_a_name(service: Service, tmp_path: Path, name: str) -> None:
    service.write(f"{name}$(touch RAN)", service.key)
    ignored = (service.path / ".gitignore").read_bytes()
    try:
        fix = service.fix_of("git-not-ignored")
        # Every program is a function that does nothing, so only a substitution could run one.
        subprocess.run(["sh", "-c", f"git() {{ :; }}; {fix}"], cwd=service.path, check=False, timeout=10)
        assert not (service.path / "RAN").exists()
        assert {path.name for path in tmp_path.iterdir()} == {SLUG}
    finally:
        (service.path / f"{name}$(touch RAN)").unlink()
        (service.path / ".gitignore").write_bytes(ignored)


def test_a_key_in_git_is_named_with_its_file_and_commit(service: Service) -> None:
    service.write("was here.txt", f"the key is {service.key}\n")
    commit_all(service.path)
    commit = run("git", "rev-parse", "HEAD", cwd=service.path).strip()
    service.write("is here.txt", service.key)
    problems = service.doctor()
    shown = {each["id"]: each["message"] for each in problems if "was here.txt" in each["message"]}
    assert shown.keys() == {"git-not-ignored", "git-history"}
    assert any(word.startswith(commit[:7]) for word in re.findall(r"[0-9a-f]{7,}", shown["git-history"]))
    assert any(each["id"] == "git-not-ignored" and "is here.txt" in each["message"] for each in problems)

    run("git", "rm", "--quiet", "--force", "was here.txt", cwd=service.path)
    (service.path / "is here.txt").unlink()
    commit_all(service.path)
    (problem,) = service.doctor()
    assert problem["id"] == "git-history"
    assert "was here.txt" in problem["message"]
    found = re.findall(r"\b[0-9a-f]{7,}\b", problem["message"])
    assert service.key in run("git", "show", found[0], cwd=service.path)


def test_every_key_is_looked_for_wherever_it_is_set(service: Service) -> None:
    keys = {name: secrets.token_hex(32) for name in ("current", "next", "first", "second", "text", "bytes")}
    variables = {**PRODUCTION, "SECRET_KEY": keys["current"], "SECRET_KEY_NEXT": keys["next"]}
    variables["SECRET_KEY_FALLBACKS"] = f"{keys['first']}, {keys['second']}"
    for name in keys:
        service.write(name, f"{keys[name]}\n")
    messages = [each["message"] for each in service.doctor(**variables)]
    assert all(any(name in message for message in messages) for name in ("current", "next", "first", "second"))

    del variables["SECRET_KEY"], variables["SECRET_KEY_NEXT"], variables["SECRET_KEY_FALLBACKS"]
    service.write("instance/config.py", f"SECRET_KEY = '{keys['text']}'\n")
    assert any("text" in each["message"] for each in service.doctor(**variables))
    service.write("instance/config.py", f"SECRET_KEY = b'{keys['bytes']}'\n")
    assert any("bytes" in each["message"] for each in service.doctor(**variables))


def test_a_tracked_configuration_file_with_a_key_is_named(service: Service) -> None:
    service.write("instance/config.py", f"SECRET_KEY = '{GOOD}'\n")
    run("git", "add", "--force", "instance/config.py", cwd=service.path)
    variables = {name: value for name, value in PRODUCTION.items() if name != "SECRET_KEY"}
    (problem,) = service.doctor(**variables)
    assert problem["id"] == "git-not-ignored"
    assert "instance/config.py" in problem["message"]


def test_a_bad_key_is_looked_for_too(service: Service) -> None:
    service.write("copy", f"key = {GOOD[:20]}\n")
    assert service.ids(**PRODUCTION | {"SECRET_KEY": GOOD[:20]}) == {"key-short", "git-not-ignored"}


def test_variables_that_git_sets_for_its_hooks_lead_to_no_other_repository(service: Service, tmp_path: Path) -> None:
    run("git", "init", "--quiet", tmp_path / "other", cwd=tmp_path)
    key_in_history(service)
    assert "git-history" in service.ids(GIT_DIR=str(tmp_path / "other/.git"))


def test_without_git_there_is_no_problem(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.write("copy", service.key)
    assert service.doctor() != []
    with monkeypatch.context() as changed:
        changed.setenv("PATH", "/nowhere")
        assert service.doctor() == []
    shutil.rmtree(service.path / ".git")
    assert service.doctor() == []


def test_a_key_is_found_wherever_it_lies_in_a_long_line(service: Service) -> None:
    """The history is read in pieces of 64 KiB."""
    size = 64 * 1024
    offsets = [0, 1, 100, *(n * size + shift for n in (1, 2) for shift in (-65, -64, -63, -33, -32, -2, -1, 0, 1))]
    end = [b"", b"\n"]
    key = service.key.encode()
    texts = {f"at-{at}-{n}": b"x" * at + key + b"y" * 10 + end[n] for at in offsets for n in (0, 1)}
    texts |= {"lines": b"a line\n" * 50_000 + key, "binary": b"\0\xff" * 1000 + key + b"\0", "crlf": b"a\r\n" + key}
    import_history(service.path, texts.items())
    problems = service.doctor()
    assert {each["id"] for each in problems} == {"git-history"}
    named = {name for name in texts for each in problems if re.search(rf"{name}(?!\d|-)", each["message"])}
    assert named == set(texts)


def test_a_large_history_is_read_in_bounded_memory(service: Service) -> None:
    """100 versions of 1 MB, half of them one line, and one line of 16 MB."""
    fill = b"0123456789abcdef" * 64 * 1024
    lines = (b"x" * 1023 + b"\n") * 1024
    texts = ((f"{n % 2}", b"%d " % n + (lines if n % 2 else fill)) for n in range(100))
    import_history(service.path, chain([("leak", service.key.encode()), ("line", fill * 16)], texts))
    program = """
import json, re, resource, sys
from click.testing import CliRunner
import flask_secure
from flask_secure import policies, template_scan
from flask_secure.__main__ import main
from flask_secure.checks import reasons
from flask_secure.policy import Policy

def peak():
    with open("/proc/self/status") as file:  # ru_maxrss begins with the parent's
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])

import flask_secure.doctor
before = peak()
findings = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)["findings"]
git = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"ids": [each["id"] for each in findings], "own": peak() - before, "git": git}))
"""
    env = clean_environ(PYTHONPATH=f"{service.path / 'src'}:{LIBRARY.parent}", FLASK_APP=SLUG)
    report = json.loads(run(sys.executable, "-c", program, cwd=service.path, env=env))
    assert report["ids"] == ["git-history"]
    assert report["own"] < 8 * 1024
    assert report["git"] < 100 * 1024


def test_secret_files_that_cannot_be_changed_are_not_asked_to_be(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes mounts them read-only with mode 0644."""
    for name in ("secret_key", "secret_key_next"):
        service.write(f"../credentials/{name}", secrets.token_hex(32))
        (tmp_path / "credentials" / name).chmod(0o644)
    variables = {"APP_ENV": "production", "TRUSTED_HOSTS": "localhost"}
    variables["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    problems = service.doctor(**variables)
    assert {each["id"] for each in problems} == {"file-mode"}
    for problem in problems:
        service.shell(problem["fix"])
    assert service.doctor(**variables) == []
    for name in ("secret_key", "secret_key_next"):
        (tmp_path / "credentials" / name).chmod(0o644)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert service.doctor(**variables) == []


def test_a_secret_file_may_be_for_a_group(service: Service, tmp_path: Path) -> None:
    service.write("../secret_key", GOOD)
    (tmp_path / "secret_key").chmod(0o640)
    variables = {"APP_ENV": "production", "TRUSTED_HOSTS": "localhost", "SECRET_KEY_FILE": str(tmp_path / "secret_key")}
    assert service.doctor(**variables) == []


def test_a_silenced_check_is_printed_with_its_reason(service: Service) -> None:
    service.write(f"src/{SLUG}/config/default.py", "MAX_CONTENT_LENGTH = 209715200\n")
    (problem,) = service.doctor(**PRODUCTION)
    assert problem["id"] == "limit-body"
    assert "209715200" in problem["message"]
    assert "memory" in problem["message"]
    text = 'MAX_CONTENT_LENGTH = 209715200\nSILENCED_CHECKS = {"limit-body": "customers send videos"}\n'
    service.write(f"src/{SLUG}/config/default.py", text)
    output = service.invoke("doctor", "--strict", code=0, **PRODUCTION)
    assert "production: no problems" in output
    assert "1 silenced" in output
    assert "customers send videos" in output
    report = json.loads(service.invoke("doctor", "--json", **PRODUCTION))
    assert [(each["id"], each["reason"]) for each in report["silenced"]] == [("limit-body", "customers send videos")]


def test_a_check_of_production_is_silenced_in_development_too(service: Service) -> None:
    """It does not run there, so that the entry is not one that silences nothing."""
    text = 'STRICT_TRANSPORT_SECURITY = None\nSILENCED_CHECKS = {"header-hsts": "the proxy sends it"}\n'
    service.write(f"src/{SLUG}/config/default.py", text)
    assert service.doctor() == []
    assert service.doctor(**PRODUCTION) == []


def test_a_fix_leaves_the_owners_other_items(service: Service) -> None:
    own = """CONTENT_SECURITY_POLICY = {"img-src": ["https://images.example.org"], "script-src": ["'unsafe-inline'"],
    "style-src": ["'unsafe-inline'"]}\n"""
    service.write(f"src/{SLUG}/config/default.py", own)
    for problem in service.doctor(**PRODUCTION):
        apply(service, problem["fix"], PRODUCTION)
    assert service.doctor(**PRODUCTION) == []
    assert "https://images.example.org" in service.invoke("config", **PRODUCTION)


def test_a_fix_keeps_the_hosts_that_are_right(service: Service) -> None:
    fix = service.fix_of("hosts-format", **PRODUCTION | {"TRUSTED_HOSTS": "a.example, bücher.example,*, [::1]"})
    assert fix == "export TRUSTED_HOSTS='a.example,xn--bcher-kva.example,[::1]'"


def test_the_owners_unprefixed_variables_are_added_to_ours(service: Service) -> None:
    service.write(f"src/{SLUG}/config/default.py", 'UNPREFIXED_VARIABLES = ["DATABASE_URL"]\n')
    assert service.doctor(**PRODUCTION) == []
    assert "x.example" in service.invoke("config", **PRODUCTION, DATABASE_URL="x.example")


def test_the_doctor_goes_on_where_a_setting_has_the_wrong_type(service: Service) -> None:
    service.write(f"src/{SLUG}/config/default.py", 'SILENCED_CHECKS = ["limit-body"]\nCHECKS = print\n')
    service.write("copy", service.key)
    problems = service.doctor(**PRODUCTION)
    assert [each["id"] for each in problems].count("setting-type") == 2
    assert "git-not-ignored" in {each["id"] for each in problems}


def test_a_check_whose_module_fails_stops_no_other(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.write("broken_checks.py", "raise RuntimeError('this is not printed')\n")
    monkeypatch.syspath_prepend(service.path)
    checks = '["broken_checks:check", "no.such:check"]'
    problems = service.doctor(**PRODUCTION, FLASK_CHECKS=checks)
    assert {each["id"] for each in problems} == {"check-failed", "check-missing"}
    assert not any("not printed" in each["message"] for each in problems)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A = 1\nB = __import__('os').environ['NOPE']\n", 2),
        ("import json\n\n\nA = json.loads('{')\n", 4),
        ("A = (\n", 1),
    ],
)
def test_a_configuration_file_that_fails_is_named_with_its_own_line(service: Service, text: str, line: int) -> None:
    service.write(f"src/{SLUG}/config/default.py", text)
    (problem,) = service.doctor(**PRODUCTION)
    assert problem["id"] == "config-file"
    assert f"in line {line} of" in problem["message"]


def test_a_check_of_the_owners_is_silenced_and_others_stay_so_beside_a_mistake(service: Service) -> None:
    checks = "from flask_secure import Problem\ndef check(config):\n    yield Problem('mine-stock', 'few', 'buy')\n"
    service.write(f"src/{SLUG}/stock.py", checks)
    text = 'CHECKS = ["stock:check"]\nMAX_FORM_PARTS = None\nSILENCED_CHECKS = {{{}}}\n'
    entries = '"limit-form-parts": "a long form", "mine-stock": "few is enough"'
    sys.path.insert(0, str(service.path / "src" / SLUG))
    service.write(f"src/{SLUG}/config/default.py", text.format(entries))
    assert service.doctor(**PRODUCTION) == []
    service.write(f"src/{SLUG}/config/default.py", text.format(entries + ', "hosts-format": "no"'))
    assert service.ids(**PRODUCTION) == {"silenced-checks"}


def test_nothing_but_the_environment_says_which_one_it_is(service: Service) -> None:
    service.write(f"src/{SLUG}/config/default.py", "APP_ENV = 'testing'\nTESTING = True\n")
    with patch.dict(os.environ, clean_environ(**PRODUCTION, FLASK_APP_ENV="testing"), clear=True):
        app = Starter(service.path).start()
    assert app.config["APP_ENV"] == "production"
    assert flask_secure.is_strict(app.config)
    assert not app.testing


@pytest.mark.parametrize(
    "variables",
    [
        {"FLASK_TRUSTED_HOSTS": "localhost", "TRUSTED_HOSTS_FILE": "../hosts"},
        {"TRUSTED_HOSTS": "localhost", "FLASK_TRUSTED_HOSTS_FILE": "../hosts"},
    ],
)
def test_a_setting_and_its_file_contradict_each_other_in_any_form(service: Service, variables: dict[str, str]) -> None:
    service.write("../hosts", "localhost")
    assert service.ids(APP_ENV="production", SECRET_KEY=GOOD, **variables) == {"setting-twice"}


def test_an_empty_variable_is_not_set(service: Service) -> None:
    service.write("../hosts", "localhost")
    variables = {"APP_ENV": "production", "SECRET_KEY": GOOD, "TRUSTED_HOSTS": "", "TRUSTED_HOSTS_FILE": "../hosts"}
    assert service.doctor(**variables) == []
    assert service.doctor(**PRODUCTION, FLASK_CSRF_TRUSTED_ORIGINS="") == []


def test_each_configuration_file_is_run_once(service: Service, tmp_path: Path) -> None:
    """With six problems it was nine times."""
    record = f"with open({str(tmp_path / 'runs')!r}, 'a') as file:\n    file.write('x')\n"
    wrong = "SESSION_COOKIE_SECURE = False\nSESSION_COOKIE_HTTPONLY = False\nMAX_CONTENT_LENGTH = None\n"
    wrong += "MAX_FORM_PARTS = None\nSESSION_COOKIE_DOMAIN = 'a.example'\nPROPAGATE_EXCEPTIONS = True\n"
    service.write(f"src/{SLUG}/config/default.py", record + wrong)
    assert len(service.doctor(**PRODUCTION)) >= 6
    assert (tmp_path / "runs").read_text() == "x"
    service.invoke("config", **PRODUCTION)
    assert (tmp_path / "runs").read_text() == "xx"
    with patch.dict(os.environ, clean_environ(**PRODUCTION), clear=True):
        Starter(service.path).start()
    assert (tmp_path / "runs").read_text() == "xxx"


class Starter:
    """The settings and the defenses of a service, without its pages."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "src" / SLUG

    def start(self) -> Flask:
        app = Flask(SLUG, root_path=str(self.folder))
        flask_secure.init_app(app)
        return app


# Environments that the owner adds


def test_an_owners_environment_is_as_strict_as_production(service: Service) -> None:
    service.write(f"src/{SLUG}/config/staging.py", "SERVICE_NAME = 'Staging'\n")
    variables = PRODUCTION | {"APP_ENV": "staging"}
    assert service.doctor(**variables) == []
    assert service.doctor("--env", "staging", **PRODUCTION) == []
    assert service.ids(**variables | {"TRUSTED_HOSTS": ""}) == {"hosts-missing"}
    assert service.ids(**variables | {"SECRET_KEY": service.key}) == {"key-development"}
    assert service.ids(**variables, FLASK_SESSION_COOKIE_SECURE="false") == {"cookie-secure"}
    assert service.ids(**variables, FLASK_STRICT_TRANSPORT_SECURITY="") == {"header-hsts"}
    assert "Staging" in service.invoke("config", **variables)
    with patch.dict(os.environ, clean_environ(**variables, FLASK_DEBUG="1"), clear=True):
        app = Starter(service.path).start()
        assert flask_secure.is_strict(app.config)
        assert not app.debug
        assert not app.testing
        assert app.config["SESSION_COOKIE_NAME"].startswith("__Host-")


@pytest.mark.parametrize("name", ["default", "Staging", "../staging", "staging.py", "", "__init__", "stagin"])
def test_an_environment_without_a_file_is_rejected_and_the_others_are_named(service: Service, name: str) -> None:
    service.write(f"src/{SLUG}/config/staging.py", "")
    (problem,) = service.doctor(**PRODUCTION | {"APP_ENV": name})
    assert problem["id"] == "env-unknown"
    assert "development, testing, production, staging" in problem["message"]
    if name:
        assert "staging" in service.invoke("doctor", "--env", name, code=2, **PRODUCTION)


# Files of a developer in production


def test_production_ignores_an_env_that_it_cannot_read(service: Service) -> None:
    for data in (b"A=\xff\n", "SECRET_KEY=x\n".encode("utf-16")):
        (service.path / ".env").write_bytes(data)
        assert service.doctor(**PRODUCTION) == []
    (service.path / ".env").chmod(0)
    obeying = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    env = clean_environ(PYTHONPATH=f"{service.path / 'src'}:{LIBRARY.parent}", FLASK_APP=SLUG, **PRODUCTION)
    command = [*obeying, sys.executable, "-m", "flask_secure", "doctor"]
    assert "no problems" in run(*command, cwd=service.path, env=env)


def test_what_flask_takes_from_env_in_production_is_called_that(service: Service) -> None:
    """The flask command makes variables of .env's lines before any code of ours."""
    taken = {"APP_ENV": "production", "TRUSTED_HOSTS": "localhost", "SECRET_KEY": service.key}
    (problem,) = service.doctor(**taken, FLASK_RUN_FROM_CLI="true")
    assert problem["id"] == "key-development"
    assert str(service.path / ".env") in problem["message"]
    after = service.shell(problem["fix"], **taken)
    assert service.doctor(**after, FLASK_RUN_FROM_CLI="true") == []
    service.write("../secret_key", GOOD)
    assert service.doctor(**taken, FLASK_RUN_FROM_CLI="true", SECRET_KEY_FILE="../secret_key") == []
    assert service.ids(**taken, SECRET_KEY_FILE="../secret_key") == {"key-twice"}


@pytest.mark.parametrize("variable", ["SECRET_KEY_FILE", "CREDENTIALS_DIRECTORY"])
def test_a_key_file_that_only_env_names_is_a_developers(service: Service, variable: str) -> None:
    service.write("../keys/secret_key", GOOD)
    named = service.path.parent / "keys" / ("secret_key" if variable == "SECRET_KEY_FILE" else "")
    service.write(".env", f"{variable}={named}\n")
    taken = {variable: str(named), "FLASK_RUN_FROM_CLI": "true", "TRUSTED_HOSTS": "localhost"}  # as `flask` leaves them
    assert service.ids(**taken, APP_ENV="development") == set()
    (problem,) = service.doctor(**taken, APP_ENV="production")
    assert problem["id"] == ("key-development" if variable == "SECRET_KEY_FILE" else "key-missing")
    after = service.shell(problem["fix"], **taken, APP_ENV="production")
    assert service.doctor(**after) == []


# Secrets in what is staged

FORMS_OF_ENV = [
    "SECRET_KEY = {}", "  SECRET_KEY={}", "export SECRET_KEY={}", "secret_key={}", "\ufeffSECRET_KEY={}",
    "SECRET_KEY='{}'", 'SECRET_KEY="{}"  # mine', "DB_PASS={}", "DB_PWD={}", "SENTRY_DSN=https://{}@sentry.example/1",
    "AWS_CREDENTIALS={}", "DATABASE_URL=postgresql://shop:{}@db/shop", "MAIL_URL=smtp://u:{}@mail.example.org",
    "CACHE=redis://:{}@cache/0", "api_key={}", "API_KEY = {}", "SECRET_KEY_FALLBACKS=x,{}", "URL=https://x/?token={}",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS_OF_ENV)
def test_a_staged_secret_of_env_is_found_in_any_form(service: Service, form: str) -> None:
    secret = secrets.token_urlsafe(24)
    (service.path / ".env").write_text(f"APP_ENV=development\n{form.format(secret)}\n", encoding="utf-8")
    commit_all(service.path)
    service.invoke("doctor", "--staged", code=0)
    service.write("leak.py", f"x = {secret!r}\n")
    service.invoke("doctor", "--staged", code=0)  # it is not staged
    run("git", "add", "leak.py", cwd=service.path)
    output = service.invoke("doctor", "--staged", code=1)
    assert "leak.py" in output
    assert secret not in output


def test_a_secret_is_found_when_the_settings_are_wrong(service: Service) -> None:
    service.write("instance/config.py", "1 / 0\n")
    service.write("leak", service.key)
    run("git", "add", "leak", cwd=service.path)
    assert "leak" in service.invoke("doctor", "--staged", code=1)


def test_a_clone_without_env_has_no_secret_to_stage(service: Service) -> None:
    (service.path / ".env").unlink()
    service.invoke("doctor", "--staged", code=0)


def test_development_is_not_asked_for_https(service: Service) -> None:
    assert service.doctor() == []
    service.write(f"src/{SLUG}/config/development.py", "PROPAGATE_EXCEPTIONS = True\n")
    assert service.doctor() == []


def test_images_may_come_as_data(service: Service) -> None:
    service.write("instance/config.py", policy("img-src", "'self'", "data:", "https://images.example.org"))
    assert service.doctor(**PRODUCTION) == []


def test_the_env_file_of_a_parent_folder_is_named(service: Service, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_ENV=testing\n")
    assert service.doctor() == []  # the project's own is nearer
    (service.path / ".env").unlink()
    (problem,) = service.doctor(**PRODUCTION)
    assert problem["id"] == "env-foreign"
    assert str(tmp_path / ".env") in problem["message"]
    assert service.doctor(**PRODUCTION, FLASK_SKIP_DOTENV="1") == []
    (tmp_path / ".env").write_text("FLASK_APP=evil.py\n")
    (problem,) = service.doctor(**PRODUCTION)
    assert "FLASK_APP" in problem["message"]


# By the installed commands.


@pytest.fixture
def own(project: Project, baked: Path, tmp_path: Path) -> OwnService:
    shutil.copytree(baked, tmp_path / SLUG)
    return OwnService(tmp_path / SLUG, project)


def test_the_commands_work_where_the_service_does_not_start(own: OwnService) -> None:
    (own.path / "src" / SLUG / "__init__.py").write_text("raise SystemExit('this was run')\n")
    assert "development: no problems" in own.flask("doctor")
    output = own.flask("doctor", code=1, APP_ENV="production", SECRET_KEY="changeme")
    assert "key-placeholder" in output
    assert "hosts-missing" in output
    assert "this was run" not in output
    env = clean_environ(PYTHONPATH=str(own.path / "src"), APP_ENV="production")
    output = run(own.project.program("python"), "-m", "flask_secure", "doctor", cwd=own.path, env=env, code=1)
    assert "key-missing" in output


def test_a_printed_fix_can_be_run_as_it_is(own: OwnService) -> None:
    output = own.flask("doctor", "--env", "production", "--json", code=1)
    fixes = [each["fix"] for each in json.loads(output)["findings"]]
    assert fixes
    assert all(fix.startswith(('export SECRET_KEY="$(uv run flask key', "export TRUSTED_HOSTS=")) for fix in fixes)
    lines = "\n".join(fix.replace("uv run ", "") for fix in fixes)
    path = f"{own.project.program('flask').parent}:{os.environ['PATH']}"
    env = clean_environ(PYTHONPATH=str(own.path / "src"), PATH=path)
    output = run("sh", "-ec", f"{lines}\nflask doctor --env production --strict", cwd=own.path, env=env)
    assert "production: no problems" in output


def test_a_parents_flask_app_is_named_and_not_run(own: OwnService, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('this was run')\n")
    (tmp_path / ".env").write_text(f"FLASK_APP={tmp_path / 'evil.py'}\n")
    own.env.unlink()
    output = own.flask("doctor", code=1)
    assert "env-foreign" in output
    assert "this was run" not in output


def test_the_doctor_examines_an_installed_wheel(installed: Path) -> None:
    flask = (installed / "venv/bin/flask", "--app", SLUG, "doctor", "--strict")
    assert "production: no problems" in run(*flask, cwd=installed, env=clean_environ(**PRODUCTION))
    output = run(*flask, cwd=installed, env=clean_environ(), code=1)
    assert output.startswith("production: 2 problems;")

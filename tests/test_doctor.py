"""The doctor: nothing to find in a new service, and each thing that is made wrong found by its id."""

import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import (
    RAW_PACKAGE,
    RAW_PROJECT,
    SLUG,
    OwnService,
    Project,
    bake,
    clean_environ,
    commit_all,
    key_of,
    production,
    run,
)

GOOD, OLD = secrets.token_hex(32), secrets.token_hex(32)


class Service(OwnService):
    """One that the doctor looks at."""

    def __init__(self, path: Path, project: Project) -> None:
        super().__init__(path, project)
        self.key = key_of(path)

    def doctor(self, *arguments: str, **env: str) -> list[dict[str, str]]:
        """What it finds. No key is in what it says."""
        output = self.flask("doctor", "--json", *arguments, code=None, **env)
        assert GOOD not in output
        assert OLD not in output
        assert self.key not in output
        findings: list[dict[str, str]] = json.loads(output[output.index("{\n") :])["findings"]  # flask may warn before
        return findings

    def ids(self, *arguments: str, **env: str) -> set[str]:
        return {finding["id"] for finding in self.doctor(*arguments, **env)}

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.path / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def service(project: Project, tmp_path: Path) -> Service:
    return Service(bake(tmp_path), project)


@dataclass
class Wrong:
    """One thing that is wrong: variables, an edit of a file, or something else that is done."""

    id: str
    variables: dict[str, str | None] = field(default_factory=dict)
    edit: tuple[str, str, str] | None = None
    do: Callable[[Service], object] | None = None
    env: str = "production"
    name: str = ""

    def __str__(self) -> str:
        return f"{self.id}{self.name}"


def in_default(old: str, new: str) -> tuple[str, str, str]:
    return (f"src/{SLUG}/config/default.py", old, new)


def without_header(name: str) -> tuple[str, str, str]:
    return in_default(f'    "{name}": ', f'    "X-Was-{name}": ')


def policy(old: str, new: str) -> tuple[str, str, str]:
    return in_default(f"    {old}\n", f"    {new}\n")


def in_create_app(line: str) -> tuple[str, str, str]:
    return (f"src/{SLUG}/__init__.py", "    return app\n", f"    {line}\n    return app\n")


def instance(text: str) -> Callable[[Service], None]:
    def write(service: Service) -> None:
        (service.path / "instance").mkdir()
        (service.path / "instance" / "config.py").write_text(text)
        (service.path / "instance" / "config.py").chmod(0o600)

    return write


def key_in_history(service: Service) -> None:
    (service.path / "notes.txt").write_text(f"the key is {key_of(service.path)}\n")
    commit_all(service.path)
    run("git", "rm", "--quiet", "notes.txt", cwd=service.path)
    commit_all(service.path)


def key_in_code(service: Service) -> None:
    service.edit(f"src/{SLUG}/__init__.py", "    logs.init", f'    app.config["SECRET_KEY"] = "{OLD}"\n    logs.init')
    commit_all(service.path)


def key_in_settings(service: Service) -> None:
    path = f"src/{SLUG}/config/default.py"
    service.edit(path, "SERVICE_NAME =", f'SECRET_KEY = "{OLD}"\nSERVICE_NAME =')
    run("git", "add", "--all", cwd=service.path)
    finding = next(each for each in service.doctor() if each["id"] == "git-tracked")
    assert "git rm" not in finding["cure"], "the settings belong into git"


def lost_object(service: Service) -> None:
    commit_all(service.path)
    blob = run("git", "rev-parse", "HEAD:README.md", cwd=service.path).strip()
    (service.path / ".git/objects" / blob[:2] / blob[2:]).unlink()


def tracked_env(service: Service) -> None:
    commit_all(service.path)
    run("git", "add", "--force", ".env", cwd=service.path)


def secret_file(service: Service) -> None:
    (service.path / "secret").write_text(GOOD)


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def env_file(text: str) -> Callable[[Service], object]:
    return lambda service: (service.path / ".env").write_text(text)


def older(package: str, version: str) -> Callable[[Service], None]:
    def write(service: Service) -> None:
        folder = service.path / "src" / f"{package.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")

    return write


STRICT = "STRICT_TRANSPORT_SECURITY"
WRONG = [
    Wrong("key-missing", {"SECRET_KEY": None}),
    Wrong("key-empty", {"SECRET_KEY": ""}),
    Wrong("key-short", {"SECRET_KEY": "aB3xyz9QW"}),
    Wrong("key-placeholder", {"SECRET_KEY": "changeme"}),
    Wrong("key-patterned", {"SECRET_KEY": "0123456789abcdef" * 4}),
    Wrong("key-white-space", {"SECRET_KEY": f" {GOOD}"}),
    Wrong("key-characters", {"SECRET_KEY": f"é{GOOD}"}),
    Wrong("key-type", {"SECRET_KEY": None}, do=instance("SECRET_KEY = 12\n")),
    Wrong("key-repeated", {"SECRET_KEY": GOOD, "SECRET_KEY_NEXT": GOOD}),
    Wrong("key-short", {"SECRET_KEY_FALLBACKS": f"{OLD},aB3xyz9QW"}, name=", a fallback"),
    Wrong("key-prefixed", {"FLASK_SECRET_KEY": GOOD}),
    Wrong("key-twice", {"SECRET_KEY": OLD, "SECRET_KEY_FILE": "secret"}, do=secret_file),
    Wrong("key-development", do=lambda service: (service.path / ".env").write_text(f"SECRET_KEY={GOOD}\n")),
    Wrong("key-example", edit=(".env.example", "SECRET_KEY=", f"SECRET_KEY={GOOD}")),
    Wrong("key-old", {"SECRET_KEY_SINCE": ago(91)}),
    Wrong("key-retire", {"SECRET_KEY_SINCE": ago(32), "SECRET_KEY_FALLBACKS": OLD}),
    Wrong("fallbacks-type", {"SECRET_KEY": None}, do=instance(f"SECRET_KEY = '{GOOD}'\nSECRET_KEY_FALLBACKS = 'x'\n")),
    Wrong("fallbacks-many", {"SECRET_KEY_FALLBACKS": ",".join(secrets.token_hex(32) for _ in range(9))}),
    Wrong("fallbacks-place", do=instance("SECRET_KEY_FALLBACKS = []\n")),
    Wrong("since-format", {"SECRET_KEY_SINCE": "yesterday"}),
    Wrong("file-name", {"SECRET_KEY_FILE": ""}),
    Wrong("file-unreadable", {"SECRET_KEY": None, "SECRET_KEY_FILE": "nowhere"}),
    Wrong("file-mode", do=lambda service: (service.path / ".env").chmod(0o640)),
    Wrong("file-mode", {"SECRET_KEY": None, "SECRET_KEY_FILE": "secret"}, do=secret_file, name=", a secret file"),
    Wrong("git-not-ignored", do=lambda service: (service.path / ".gitignore").unlink()),
    Wrong("git-not-ignored", edit=(".gitignore", ".env*\n*.env\n", ""), name=", with a .gitignore"),
    Wrong(
        "git-not-ignored", do=lambda service: (service.path / "copy").write_text(key_of(service.path)), name=", a copy"
    ),
    Wrong("git-tracked", do=tracked_env),
    Wrong("git-tracked", {"SECRET_KEY": None}, do=key_in_code, name=", in code"),
    Wrong("git-history", do=key_in_history),
    Wrong("git-unreadable", do=lost_object),
    Wrong("git-tracked", do=key_in_settings, name=", in settings"),
    Wrong("start-failed", {"FLASK_SESSION_COOKIE_NAME": "5"}),
    Wrong("start-failed", edit=in_create_app("raise ValueError"), name=", in code"),
    Wrong("propagate", {"FLASK_PROPAGATE_EXCEPTIONS": "1"}),
    Wrong("docker-ignore", do=lambda service: (service.path / ".dockerignore").unlink()),
    Wrong("docker-ignore", edit=(".dockerignore", "**/.env*\n**/*.env\n", ""), name=", without the line"),
    Wrong("variable-empty", {"MAIL_PASSWORD": ""}),
    *(
        Wrong("variable-misspelt", {name: "x"}, name=f", {name}")
        for name in ("SECRET_KEYS", "APP_ENVIRONMENT", "FLASK_ENV", "TRUSTED_HOST", "FLASK_SESSION_COOKIE_SECUR")
    ),
    Wrong("variable-twice", {"FLASK_TRUSTED_HOSTS": '["localhost"]'}),
    Wrong("env-unknown", env="staging"),
    Wrong("config-file", do=instance("SECRET_KEY = (\n")),
    Wrong("debug", {"FLASK_DEBUG": "1"}),
    Wrong("debug", edit=(f"src/{SLUG}/config/production.py", '"""What', 'DEBUG = True\n"""What'), name=", in a file"),
    Wrong("debug", edit=in_create_app("app.debug = True"), name=", in code"),
    Wrong("testing", {"FLASK_TESTING": "true"}),
    Wrong("testing", edit=in_create_app("app.testing = True"), name=", in code"),
    Wrong("hosts-missing", {"TRUSTED_HOSTS": None}),
    Wrong("hosts-any", {"TRUSTED_HOSTS": "*"}),
    Wrong("hosts-format", {"TRUSTED_HOSTS": "https://example.org"}),
    Wrong("hosts-suffix", {"TRUSTED_HOSTS": "www.example.org,.example.org"}),
    Wrong("hosts-suffix", {"TRUSTED_HOSTS": ".org"}, name=", bare"),
    Wrong("hosts-open", edit=in_create_app('app.config["TRUSTED_HOSTS"] = None')),
    Wrong("proxies-format", {"TRUSTED_PROXIES": "yes"}),
    Wrong("proxies-many", {"TRUSTED_PROXIES": "9"}),
    Wrong("csrf-off", edit=in_create_app("app.before_request_funcs.clear()")),
    Wrong("csrf-origins", {"FLASK_CSRF_TRUSTED_ORIGINS": '["*"]'}),
    Wrong("csrf-http", {"FLASK_CSRF_TRUSTED_ORIGINS": '["http://a.example.org"]'}),
    Wrong("cookie-secure", {"FLASK_SESSION_COOKIE_SECURE": "false"}),
    Wrong("cookie-httponly", {"FLASK_SESSION_COOKIE_HTTPONLY": "false"}),
    Wrong("cookie-samesite", {"FLASK_SESSION_COOKIE_SAMESITE": "None"}),
    Wrong("cookie-prefix", {"FLASK_SESSION_COOKIE_NAME": "session"}),
    Wrong("cookie-prefix", {"FLASK_SESSION_COOKIE_PATH": "/app"}, name=", path"),
    Wrong("cookie-domain", {"FLASK_SESSION_COOKIE_DOMAIN": "localhost"}),
    Wrong(
        "cookie-name", edit=(f"src/{SLUG}/config/development.py", f'"{SLUG}_session"', '"session"'), env="development"
    ),
    Wrong("header-csp", edit=in_default("CONTENT_SECURITY_POLICY = {", "CONTENT_SECURITY_POLICY = {} and {")),
    Wrong("header-hsts", edit=in_default(f"{STRICT} =", f"{STRICT} = None and")),
    Wrong("header-hsts", {f"FLASK_{STRICT}": "max-age=3600"}, name=", short"),
    Wrong("header-nosniff", edit=without_header("X-Content-Type-Options")),
    Wrong("header-frame-options", edit=without_header("X-Frame-Options")),
    Wrong("header-referrer", edit=without_header("Referrer-Policy")),
    Wrong("header-referrer", edit=in_default('y": "same-origin",  # "no', 'y": "no-referrer",  # "no'), name=", none"),
    Wrong("header-coop", edit=without_header("Cross-Origin-Opener-Policy")),
    Wrong("header-corp", edit=without_header("Cross-Origin-Resource-Policy")),
    Wrong("header-permissions", edit=without_header("Permissions-Policy")),
    Wrong("csp-unsafe-inline", edit=policy('"script-src": ["\'self\'"],', '"script-src": ["\'unsafe-inline\'"],')),
    Wrong(
        "csp-unsafe-inline",
        edit=policy('"style-src": ["\'self\'"],', '"style-src": ["\'unsafe-inline\'"],'),
        name=", style",
    ),
    Wrong("csp-unsafe-eval", edit=policy('"script-src": ["\'self\'"],', '"script-src": ["\'unsafe-eval\'"],')),
    Wrong("csp-wildcard", edit=policy('"img-src": ["\'self\'"],', '"img-src": ["*"],')),
    Wrong("csp-wildcard", edit=policy('"script-src": ["\'self\'"],', '"script-src": ["https:"],'), name=", scheme"),
    Wrong("csp-data", edit=policy('"script-src": ["\'self\'"],', '"script-src": ["data:"],')),
    Wrong("csp-http", edit=policy('"script-src": ["\'self\'"],', '"script-src": ["http://cdn.example.org"],')),
    Wrong("csp-unknown", edit=policy('"img-src": ["\'self\'"],', '"image-src": ["\'self\'"],')),
    Wrong("csp-format", edit=policy('"img-src": ["\'self\'"],', '"img-src": "\'self\'",')),
    Wrong("header-format", edit=in_default("SECURITY_HEADERS = {", "SECURITY_HEADERS = 5 or {")),
    Wrong(
        "header-cors",
        edit=in_default("SECURITY_HEADERS = {", 'SECURITY_HEADERS = {"Access-Control-Allow-Origin": "*",'),
    ),
    Wrong("cookie-samesite", {"FLASK_SESSION_COOKIE_SAMESITE": "Laxx"}, name=", misspelt"),
    Wrong("limit-body", {"FLASK_MAX_CONTENT_LENGTH": "2MB"}, name=", text"),
    Wrong("variable-misspelt", {"FLASK_MAX_CONTENT_LENGHT": "5"}, name=", a limit"),
    Wrong(
        "variable-misspelt", edit=in_default("MAX_FORM_PARTS =", "MAX_FORM_PART = 1\nMAX_FORM_PARTS ="), name=", file"
    ),
    Wrong("csp-script-src", edit=policy('"default-src": ["\'none\'"],\n    "script-src": ["\'self\'"],', "")),
    Wrong("csp-object-src", edit=policy('"object-src": ["\'none\'"],', "")),
    Wrong("csp-base-uri", edit=policy('"base-uri": ["\'none\'"],', "")),
    Wrong("csp-form-action", edit=policy('"form-action": ["\'self\'"],', "")),
    Wrong("csp-frame-ancestors", edit=policy('"frame-ancestors": ["\'none\'"],', "")),
    Wrong("limit-body", {"FLASK_MAX_CONTENT_LENGTH": "null"}),
    Wrong("limit-body", {"FLASK_MAX_CONTENT_LENGTH": "1000000000"}, name=", large"),
    Wrong("limit-form-memory", {"FLASK_MAX_FORM_MEMORY_SIZE": "null"}),
    Wrong("limit-form-parts", {"FLASK_MAX_FORM_PARTS": "null"}),
    Wrong("session-lifetime", {"FLASK_PERMANENT_SESSION_LIFETIME": "31536000"}),
    Wrong("session-lifetime", {"FLASK_PERMANENT_SESSION_LIFETIME": "a year"}, name=", text"),
    Wrong("key-missing", do=env_file("APP_ENV=development\n"), env="development", name=", development"),
    Wrong("variable-twice", do=env_file(f"SECRET_KEY={GOOD}\nA=1\nA=2\n"), env="development", name=", .env"),
    Wrong("version-flask", do=older("flask", "3.1.2")),
    Wrong("version-werkzeug", do=older("werkzeug", "3.1.5")),
    Wrong("version-flask-debugtoolbar", do=older("flask-debugtoolbar", "0.14.1"), env="development"),
    Wrong("env-file", do=env_file(f"SECRET_KEY='{GOOD}\n"), env="development"),
]

# These come along, since they follow from the same thing.
ALONG = {
    "cookie-secure": {"cookie-prefix"},
    "cookie-domain": {"cookie-prefix"},
    "csrf-off": {"hosts-open"},  # one function checks both
    "file-mode": {"git-not-ignored"},
    "key-example": {"git-not-ignored"},
    "key-twice": {"git-not-ignored", "file-mode"},
    "git-tracked": {"git-history"},
}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_each_thing_that_is_wrong_is_found(service: Service, wrong: Wrong) -> None:
    if wrong.edit:
        service.edit(*wrong.edit)
    if wrong.do:
        wrong.do(service)
    if wrong.env == "development":
        variables: dict[str, str] = {}
    else:
        variables = production(SECRET_KEY=GOOD, TRUSTED_HOSTS="localhost", APP_ENV="development")
    variables |= {name: value for name, value in wrong.variables.items() if value is not None}
    for name, value in wrong.variables.items():
        if value is None:
            del variables[name]
    findings = service.doctor("--env", wrong.env, **variables)
    assert wrong.id in {finding["id"] for finding in findings}
    assert {finding["id"] for finding in findings} <= {wrong.id} | ALONG.get(wrong.id, set())
    for finding in findings:
        assert finding["level"] in ("error", "warning")
        assert finding["problem"]
        assert finding["cure"]
        assert "\n" not in finding["problem"] + finding["cure"]


def test_nothing_is_wrong_with_a_new_service(service: Service) -> None:
    good = production()
    assert service.doctor() == []
    assert service.doctor("--env", "testing") == []
    assert service.doctor("--env", "production", **good | {"APP_ENV": "development"}) == []
    # Where production runs, nothing of development is to be installed.
    assert service.ids(**good) == {"toolbar-installed"}
    commit_all(service.path)
    assert service.doctor() == []
    assert "nothing is wrong" in service.flask("doctor", "--strict")


def test_the_wheel_is_examined_where_it_is_installed(installed: Path) -> None:
    flask = (installed / "venv/bin/flask", "--app", SLUG, "doctor", "--strict")
    assert "production: nothing is wrong" in run(*flask, cwd=installed, env=clean_environ(**production()))
    output = run(*flask, cwd=installed, env=clean_environ(), code=1)
    assert output.startswith("production: 2 errors\n")


def test_it_says_why_and_exits_with_one(service: Service) -> None:
    output = service.flask("doctor", "--env", "production", code=1)
    assert "production: 2 errors" in output
    assert '\n         export SECRET_KEY="$(uv run flask key generate)"' in output
    assert "\n         export TRUSTED_HOSTS=www.example.org" in output
    for command in ("doctor", "config"):
        output = service.flask(command, "--env", "staging", code=1)
        assert "--env says 'staging'; it is one of development, testing, production" in output
        assert output.endswith("--env production\n")
    old = production(SECRET_KEY_SINCE=ago(100), APP_ENV="development")
    assert "production: 1 warning" in service.flask("doctor", "--env", "production", **old)
    service.flask("doctor", "--env", "production", "--strict", code=1, **old)


def test_the_cures_cure(service: Service) -> None:
    """Each is run by a shell, as somebody who copies it would."""
    (service.path / ".gitignore").unlink()
    (service.path / ".dockerignore").unlink()
    (service.path / ".env").chmod(0o644)
    path = f"{service.project.path / '.venv/bin'}:{os.environ['PATH']}"
    env = clean_environ(PYTHONPATH=str(service.path / "src"), PATH=path)
    findings = service.doctor("--env", "production")
    assert len(findings) == 5
    cures = "\n".join(finding["cure"].replace("uv run ", "") for finding in findings)
    again = f"{cures}\nflask doctor --env production --strict"
    assert "production: nothing is wrong" in run("sh", "-ec", again, cwd=service.path, env=env)


def test_a_parents_env_is_told(service: Service) -> None:
    (service.path.parent / ".env").write_text("APP_ENV=testing\n")
    assert service.ids() == set()  # the project has its own
    (service.path / ".env").unlink()
    assert service.ids(**production()) == {"env-parent", "toolbar-installed"}
    assert "env-parent" not in service.ids("--env", "production", **production(APP_ENV="testing"))


def test_every_id_is_documented() -> None:
    sources = "\n".join(path.read_text() for path in RAW_PACKAGE.rglob("*.py"))
    made = r"(?:Finding|finding|Refusal|Limit|StartupError)\(\s*\"([a-z]+(?:-[a-z-]+)?)\""
    ids = set(re.findall(made, sources)) | set(re.findall(r"\(\"(header-[a-z-]+)\"", sources))
    ids |= set(re.findall(r"\"(csp-[a-z-]+)\"", sources)) | {wrong.id for wrong in WRONG}
    documented = set(re.findall(r"`([a-z-]+)`", (RAW_PROJECT / "README.md").read_text()))
    assert len(ids) > 60
    assert ids - documented == {"aws-name"} - documented


def test_config_shows_every_setting_with_its_layer(service: Service) -> None:
    instance("MAIL_PASSWORD = 'hunter2'\nMAX_FORM_PARTS = 7\n")(service)
    output = service.flask("config", FLASK_MAX_CONTENT_LENGTH="5")
    rows = {line.split()[0]: line for line in output.splitlines()}
    assert re.search(r"FLASK_MAX_CONTENT_LENGTH in the environment +5$", rows["MAX_CONTENT_LENGTH"])
    assert re.search(r"instance/config.py +7$", rows["MAX_FORM_PARTS"])
    assert re.search(r"config/development.py +True$", rows["DEBUG"])
    assert re.search(r"\.env +<key [0-9a-f]{12}>$", rows["SECRET_KEY"])
    assert "[redacted]" in rows["MAIL_PASSWORD"]
    assert "hunter2" not in output
    assert key_of(service.path) not in output
    refused = service.flask("config", SECRET_KEY="changeme-now-or-never")
    assert "[key-placeholder]" in refused
    assert "changeme-now" not in refused

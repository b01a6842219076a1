"""Signing keys: how good they have to be, where they come from, `.env`, and the `flask key` commands."""

import contextlib
import json
import os
import re
import resource
import secrets
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click import ClickException, Context
from click.testing import CliRunner, Result
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from itsdangerous import BadSignature, TimestampSigner
from support import LIBRARY, SLUG, OwnService, Project, clean_environ, key_of, production, run

import flask_secure
from flask_secure import StartupError, cli, key_text, rotation, sources
from flask_secure.checks import keys
from flask_secure.loading import Record
from flask_secure.ring import Ring, fingerprint, generate
from flask_secure.strength import weakness

KEYS = [secrets.token_hex(32) for _ in range(12)]
ROLES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")
MD5_OF_PASSWORD = "5f4dcc3b5aa765d61d8327deb882cf99"

# What articles, Flask's documentation and templates print.
PUBLISHED = """
    f3cfe9ed8fae309f02079dbf 3d6f45a5fc12445dbac2f59c3b6c7cb1 Drmhze6EPcv0fN_81Bj-nA 8f42a73054b1749f8f58848be5e6502c
    d5fb8c4fa8bd46638dadc4e751e0d68d 192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf Define_The_Key
    default_fallback_key not-so-secret changeme changethis change-me insecure_key_for_dev you-will-never-guess
    django-insecure- update-data-with-keygen __CHANGEME__ secret secret-key secret_key supersecretkey mysecretkey
    your-secret-key your_secret_key replace-me dev development password
"""


# The examples of a property share the fixture; a slow machine is not a failure.
in_one_home = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


def record_of(app: Flask) -> Record:
    record: Record = app.extensions["flask_secure"]
    return record


class Home:
    """The folder of a plain Flask application, which is run in this process."""

    def __init__(self, path: Path) -> None:
        self.path, self.env, self.instance = path, path / ".env", path / "instance" / "config.py"

    def app(self, env: str | None = "production", **code: object) -> Flask:
        """The application, which sets `code` before init_app."""
        app = Flask("service", root_path=str(self.path), instance_path=str(self.instance.parent))
        app.config.update(code)
        with nullcontext() if env else Context(cli.main):  # the flask command, which goes by .env
            flask_secure.init_app(app, env)
        return app

    def in_use(self, env: str | None = "production", **code: object) -> tuple[Any, list[Any]]:
        """The key that signs, and those that only verify."""
        config = self.app(env, **code).config
        return config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"]

    def refused(self, env: str | None = "production", **code: object) -> StartupError | None:
        """Why the application does not start, if it does not; no key is in it."""
        try:
            self.app(env, **code)
        except StartupError as error:
            caught = error
        else:
            return None
        assert not [key for key in KEYS if key in str(caught)]
        return caught

    def problems(self, env: str | None = "production", **code: object) -> StartupError:
        error = self.refused(env, **code)
        assert error is not None, "it starts"
        return error

    def ids(self, env: str | None = "production", **code: object) -> list[str]:
        return [problem.id for problem in self.problems(env, **code).problems]

    def key(self, *arguments: str, code: int = 0, text: str | None = None) -> Result:
        """Run `flask key ARGUMENTS`. Keys of .env are in none of its streams, other keys not on standard error."""
        before = self.values()
        result = CliRunner().invoke(cli.key, arguments, input=text)
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        shown = {key for values in (before, self.values()) for role in ROLES for key in values.get(role, "").split(",")}
        assert not [key for key in shown if len(key) > 8 and key in result.output]
        assert not [key for key in KEYS if key in result.stderr]
        return result

    def values(self) -> dict[str, str]:
        """The variables of .env; a line is NAME=VALUE where our commands have written it."""
        lines = self.env.read_text("utf-8-sig").splitlines() if self.env.is_file() else []
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def printed(self, *arguments: str, text: str | None = None) -> dict[str, str]:
        """The variables that `flask key ARGUMENTS` prints; standard output holds nothing else."""
        result = self.key(*arguments, text=text)
        assert result.stderr
        lines = result.stdout.splitlines()
        assert all(re.fullmatch(r"[A-Z_]+=\S+", line) for line in lines), len(lines)
        return dict(line.split("=", 1) for line in lines)

    def printed_with_keys(self, *arguments: str) -> dict[str, str]:
        """The variables that `flask key ARGUMENTS` prints, of a key with characters of any kind."""
        result = CliRunner().invoke(cli.key, list(arguments))
        assert result.exit_code == 0, result.output
        return dict(line.split("=", 1) for line in result.stdout.splitlines())

    def rotate(self) -> None:
        """What a single instance can do at once."""
        self.key("stage")
        self.key("promote")

    def at_once(self, *arguments: str, count: int = 3) -> list[tuple[int, str]]:
        """The exit status and the output of each of `count` commands that run at the same time."""
        environ = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, "-m", "flask_secure", "key", *arguments]
        started = [
            subprocess.Popen(
                command, cwd=self.path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for _ in range(count)
        ]
        outputs = [each.communicate(timeout=60)[0] for each in started]
        return [(each.returncode, output) for each, output in zip(started, outputs, strict=True)]

    def others(self) -> set[str]:
        """The files beside .env: none of them is a draft or a lock."""
        return {path.name for path in self.path.iterdir()} - {".env"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.chdir(tmp_path)
    environ = clean_environ(TRUSTED_HOSTS="localhost")
    environ.pop("CREDENTIALS_DIRECTORY", None)
    (tmp_path / "pyproject.toml").touch()
    with patch.dict(os.environ, environ, clear=True):
        yield Home(tmp_path)


@pytest.fixture
def service(fresh: Path, project: Project) -> OwnService:
    """A generated service of this test's own."""
    return OwnService(fresh, project)


class HangsError(BaseException):
    """No OSError, as TimeoutError is, which the code under test catches."""


@contextlib.contextmanager
def at_most(seconds: float, memory: int = 2 * 1024**3) -> Iterator[None]:
    """Fail, rather than hang or fill the memory, when the block takes more."""

    def stop(*_: object) -> None:
        raise HangsError

    before, (soft, hard) = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# Strength

MAKERS = {
    "os.urandom(16)": lambda: os.urandom(16),
    "os.urandom(24)": lambda: os.urandom(24),
    "os.urandom(16).hex()": lambda: os.urandom(16).hex(),
    "uuid4().hex": lambda: uuid.uuid4().hex,
    "str(uuid4())": lambda: str(uuid.uuid4()),
    "token_hex(16)": lambda: secrets.token_hex(16),
    "token_urlsafe(16)": lambda: secrets.token_urlsafe(16),
    "token_hex(32)": lambda: secrets.token_hex(32),
    "token_bytes(32)": lambda: secrets.token_bytes(32),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_keys_made_in_the_usual_ways_are_accepted(home: Home, make: Any) -> None:
    assert [problem for _ in range(200) if (problem := weakness(make()))] == []
    in_code, in_file = make(), make()
    assert home.in_use(SECRET_KEY=in_code) == (in_code, [])
    home.instance.parent.mkdir()
    home.instance.write_text(f"SECRET_KEY = {in_file!r}\n")
    assert home.in_use() == (in_file, [])
    assert home.in_use("development") == (in_file, [])


@pytest.mark.parametrize("sample", [*PUBLISHED.split(), MD5_OF_PASSWORD])
def test_published_keys_are_rejected(sample: str) -> None:
    assert weakness(sample) is not None
    assert weakness(sample.encode()) is not None
    if len(sample) >= 6:
        problem = weakness(f"{KEYS[0][:20]}{sample.upper()}{KEYS[1][:20]}")
        assert problem is not None
        assert problem[0] == "key-placeholder"


def test_a_published_key_is_rejected_at_start_up_wherever_it_is_set(home: Home) -> None:
    assert home.ids(SECRET_KEY="changeme") == ["key-placeholder"]
    assert home.ids(SECRET_KEY=MD5_OF_PASSWORD) == ["key-placeholder"]
    home.env.write_text("APP_ENV=development\nSECRET_KEY=not-so-secret\n")
    assert home.ids(None) == ["key-placeholder"]
    os.environ["SECRET_KEY"] = "your-secret-key"
    assert home.ids() == ["key-placeholder"]


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=64))
def test_random_bytes_are_accepted_unless_they_follow_a_pattern(data: bytes) -> None:
    problem = weakness(data)
    printable = all(32 <= each < 127 for each in data)
    assert problem is None or problem[0] in ("key-patterned", "key-placeholder") or printable


@settings(deadline=None)
@given(st.text("0123456789abcdef", max_size=31) | st.text("0123456789", max_size=38) | st.binary(max_size=15))
def test_less_than_128_bits_are_rejected(value: str | bytes) -> None:
    assert weakness(value) is not None


@settings(deadline=None)
@given(st.text(min_size=1, max_size=8), st.integers(2, 40))
def test_repetitions_are_rejected(part: str, times: int) -> None:
    assert weakness(part * times) is not None


PATTERNS = [
    "0123456789abcdef" * 2,
    "abcdefghijklmnopqrstuvwxyz012345",
    "a" * 64,
    "z" * 31 + "a",
    "2f9c01b7e6d8a543" * 4,
]


@pytest.mark.parametrize("key", PATTERNS)
def test_patterns_are_rejected(key: str) -> None:
    assert weakness(key) is not None


ODD = st.none() | st.integers() | st.floats() | st.booleans() | st.lists(st.text()) | st.text(max_size=15) | st.binary()


@given(ODD)
@in_one_home
def test_anything_else_is_rejected_at_start_up_and_not_shown(home: Home, value: Any) -> None:
    if weakness(value) is None:  # long bytes can be good
        return
    text = str(home.problems(SECRET_KEY=value))
    assert text.count("[key-") == 1
    assert len(str(value)) < 8 or str(value) not in text


@settings(deadline=None)
@given(st.text(max_size=3), st.text(max_size=3))
def test_white_space_and_characters_that_change_on_the_way_are_rejected(before: str, after: str) -> None:
    key = before + KEYS[0] + after
    is_kept = key.isascii() and key.isprintable() and key == key.strip() and "${" not in key
    assert (weakness(key) is None) == is_kept


# Sources


def test_without_a_key_no_environment_starts(home: Home) -> None:
    assert home.ids("production") == ["key-missing"]
    assert home.ids("development") == ["key-missing"]
    assert "flask_secure key init" in str(home.problems("development"))
    assert "flask_secure key generate" in str(home.problems("production"))


def test_testing_has_a_key_of_the_process_and_reads_no_other(home: Home) -> None:
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\n")
    os.environ["SECRET_KEY"] = "changeme"
    key, others = home.in_use("testing", SECRET_KEY=KEYS[1])
    assert key not in (KEYS[0], KEYS[1], "changeme")
    assert weakness(str(key)) is None
    assert (key, others) == home.in_use("testing")


def test_the_precedence_of_the_sources(home: Home, tmp_path: Path) -> None:
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\n")
    assert home.in_use(None) == (KEYS[0], [])
    assert home.ids("production") == ["key-missing"]  # which reads no .env
    assert home.in_use(None, SECRET_KEY=KEYS[1]) == (KEYS[1], [])
    home.instance.parent.mkdir()
    home.instance.write_text(f"SECRET_KEY = '{KEYS[2]}'\n")
    assert home.in_use(None, SECRET_KEY=KEYS[1]) == (KEYS[2], [])
    os.environ["SECRET_KEY"] = KEYS[3]
    assert home.in_use(None, SECRET_KEY=KEYS[1]) == (KEYS[3], [])
    del os.environ["SECRET_KEY"]
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "secret_key").write_text(KEYS[4])
    os.environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert home.in_use(None, SECRET_KEY=KEYS[1]) == (KEYS[4], [])
    (tmp_path / "other").write_text(KEYS[5])
    os.environ["SECRET_KEY_FILE"] = str(tmp_path / "other")
    assert home.in_use(None, SECRET_KEY=KEYS[1]) == (KEYS[5], [])


def test_the_keys_of_a_source_in_their_order(home: Home) -> None:
    """Flask signs with SECRET_KEY and tries the last of SECRET_KEY_FALLBACKS first."""
    os.environ |= {"SECRET_KEY": KEYS[0], "SECRET_KEY_NEXT": KEYS[1], "SECRET_KEY_FALLBACKS": f"{KEYS[2]},{KEYS[3]}"}
    assert home.in_use() == (KEYS[0], [KEYS[2], KEYS[3], KEYS[1]])
    app = home.app()
    assert app.config["WTF_CSRF_SECRET_KEY"][-1] == KEYS[0]
    assert not [key for key in KEYS if key in repr(app.config)]


@pytest.mark.parametrize("spaces", ["{}, {}", " {} ,{} ", "{},\t{}"])
def test_spaces_around_the_commas_of_fallbacks_are_not_keys(home: Home, spaces: str) -> None:
    os.environ |= {"SECRET_KEY": KEYS[0], "SECRET_KEY_FALLBACKS": spaces.format(*KEYS[1:])}
    assert home.in_use() == (KEYS[0], KEYS[1:3])


EMPTY = [(name, "") for name in ROLES]
EMPTY += [
    ("SECRET_KEY_FALLBACKS", value) for value in (",", " , ", f"{KEYS[1]},", f",{KEYS[1]}", f"{KEYS[1]},,{KEYS[2]}")
]


@pytest.mark.parametrize(("name", "value"), EMPTY, ids=range(len(EMPTY)))
def test_an_empty_key_is_an_error_that_names_its_variable(home: Home, name: str, value: str) -> None:
    os.environ |= {"SECRET_KEY": KEYS[0], name: value}
    problem, *_ = home.problems().problems
    assert problem.id == "key-empty"
    assert problem.message.startswith(f"{name} in the environment ")
    assert name in problem.fix


@pytest.mark.parametrize("name", ROLES)
def test_an_empty_name_of_a_secret_file_is_an_error(home: Home, name: str) -> None:
    os.environ |= {"SECRET_KEY": KEYS[0], f"{name}_FILE": ""}
    assert f"{name}_FILE" in str(home.problems())


@pytest.mark.parametrize("name", ROLES)
def test_variables_and_files_contradict_each_other(home: Home, tmp_path: Path, name: str) -> None:
    (tmp_path / "key").write_text(KEYS[0])
    os.environ |= {"SECRET_KEY_FILE": str(tmp_path / "key"), name: KEYS[0]}
    (problem,) = home.problems().problems
    assert (problem.id, problem.fix) == ("key-twice", f"unset {name}")


@pytest.mark.parametrize("name", ROLES[1:])
def test_other_keys_without_the_one_that_signs_are_an_error(home: Home, tmp_path: Path, name: str) -> None:
    os.environ[name] = KEYS[0]
    assert home.ids() == ["key-missing"]
    del os.environ[name]
    (tmp_path / "key").write_text(KEYS[0])
    os.environ[f"{name}_FILE"] = str(tmp_path / "key")
    (problem,) = home.problems().problems
    assert (problem.id, problem.fix) == ("file-name", f"unset {name}_FILE")


@pytest.mark.parametrize("fallbacks", [[KEYS[1]], "changeme", KEYS[1]], ids=["list", "weak", "text"])
def test_keys_of_two_sources_are_not_mixed(home: Home, fallbacks: object) -> None:
    os.environ["SECRET_KEY"] = KEYS[0]
    assert home.in_use(SECRET_KEY=KEYS[2], SECRET_KEY_FALLBACKS=fallbacks) == (KEYS[0], [])


NO_LISTS = {"text": KEYS[1], "bytes": KEYS[1].encode(), "empty": "", "dict": {KEYS[1]: 1}, "int": 7, "bool": True}


@pytest.mark.parametrize("fallbacks", NO_LISTS.values(), ids=NO_LISTS)
def test_fallbacks_that_are_not_a_list_are_an_error(home: Home, fallbacks: object) -> None:
    """Of a text, Flask would make a signing key of each character."""
    (problem,) = home.problems(SECRET_KEY=KEYS[0], SECRET_KEY_FALLBACKS=fallbacks).problems
    assert problem.message.startswith("SECRET_KEY_FALLBACKS in the application")
    kept = {KEYS[1]: 'SECRET_KEY_FALLBACKS.split(",")', KEYS[1].encode(): "[SECRET_KEY_FALLBACKS]"}
    expression = kept.get(fallbacks) if isinstance(fallbacks, str | bytes) else None  # whom they serve stay
    assert problem.fix == f"SECRET_KEY_FALLBACKS = {expression}  # in the application"


@pytest.mark.parametrize(
    "weak", ["", "changeme", None, 7, KEYS[1][:20]], ids=["empty", "sample", "None", "int", "short"]
)
def test_each_fallback_is_checked(home: Home, weak: object) -> None:
    text = str(home.problems(SECRET_KEY=KEYS[0], SECRET_KEY_FALLBACKS=[KEYS[1], weak]))
    assert text.startswith("SECRET_KEY_FALLBACKS in the application")


def test_a_key_in_two_roles_is_an_error_that_names_the_second(home: Home) -> None:
    os.environ |= {"SECRET_KEY": KEYS[0], "SECRET_KEY_NEXT": KEYS[0]}
    (problem,) = home.problems().problems
    assert (problem.id, problem.fix) == ("key-repeated", "unset SECRET_KEY_NEXT")
    os.environ |= {"SECRET_KEY_NEXT": KEYS[1], "SECRET_KEY_FALLBACKS": f"{KEYS[2]},{KEYS[3]},{KEYS[2]}"}
    (problem,) = home.problems().problems
    assert problem.id == "key-repeated"
    output = run("sh", "-c", f'{problem.fix}; printf %s "$SECRET_KEY_FALLBACKS"', cwd=home.path, env=dict(os.environ))
    assert output.split(",") == KEYS[2:4]
    os.environ["SECRET_KEY_FALLBACKS"] = KEYS[0]
    (problem,) = home.problems().problems
    assert problem.fix == "unset SECRET_KEY_FALLBACKS"


@pytest.mark.parametrize("name", [*ROLES, "SECRET_KEY__X", "SECRET_KEY_NEXT__X", "SECRET_KEY_FALLBACKS__0"])
def test_prefixed_variables_are_rejected_by_name(home: Home, name: str) -> None:
    """Flask reads those as JSON, which turns 12e45 into a number."""
    os.environ |= {"SECRET_KEY": KEYS[0], f"FLASK_{name}": KEYS[1]}
    (problem,) = home.problems().problems
    assert f"FLASK_{name}" in problem.message
    assert problem.fix == f"unset FLASK_{name}"


@pytest.mark.parametrize("env_role", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_production_rejects_the_development_keys_in_any_role(home: Home, env_role: str, role: str) -> None:
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\n{env_role}={KEYS[1]}\n")
    os.environ |= {"SECRET_KEY": KEYS[2], role: KEYS[1]}
    (problem,) = home.problems().problems
    assert problem.id == "key-development"
    assert problem.message.startswith(f"{role} in the environment ")
    os.environ[role] = KEYS[3]
    home.app()


def test_production_rejects_a_development_key_set_as_bytes(home: Home) -> None:
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\n")
    assert home.ids(SECRET_KEY=KEYS[0].encode()) == ["key-development"]


# Secret files


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_newline_at_the_end_of_a_secret_file_is_not_a_part_of_the_key(home: Home, end: str) -> None:
    (home.path / "key").write_bytes((KEYS[0] + end).encode())
    (home.path / "next").write_bytes((KEYS[1] + end).encode())
    (home.path / "fallbacks").write_bytes((KEYS[2] + (end or "\n") + KEYS[3] + end).encode())
    for name, file in zip(ROLES, ("key", "next", "fallbacks"), strict=True):
        os.environ[f"{name}_FILE"] = str(home.path / file)
    assert home.in_use() == (KEYS[0], [KEYS[2], KEYS[3], KEYS[1]])
    (home.path / "key").write_bytes((KEYS[0] + "\n\n").encode())
    assert home.ids() == ["key-characters"]


@pytest.mark.parametrize("text", ["{},{}", "{}, {}\n", "{}\n\n{}\n"])
def test_fallbacks_in_a_secret_file(home: Home, text: str) -> None:
    (home.path / "secret_key").write_text(KEYS[0])
    (home.path / "secret_key_fallbacks").write_text(text.format(*KEYS[1:]))
    os.environ["CREDENTIALS_DIRECTORY"] = str(home.path)
    assert home.in_use() == (KEYS[0], KEYS[1:3])


@pytest.mark.parametrize("empty", ["", "\n"])
def test_platforms_mount_empty_files_where_there_is_no_key(home: Home, empty: str) -> None:
    (home.path / "secret_key").write_text(KEYS[0])
    for name in ("secret_key_next", "secret_key_fallbacks"):
        (home.path / name).write_text(empty)
    os.environ["CREDENTIALS_DIRECTORY"] = str(home.path)
    assert home.in_use() == (KEYS[0], [])
    (home.path / "secret_key").write_text(empty)
    assert home.ids() == ["key-empty"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["missing", "fifo", "folder", "endless", "big", "not UTF-8"])
def test_a_secret_file_that_is_not_one_is_rejected_at_once(home: Home, kind: str, role: str) -> None:
    (home.path / "key").write_text(KEYS[0])
    path = home.path / "bad"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path = Path("/dev/zero")
    elif kind != "missing":
        path.write_bytes({"big": b"a1" * 2049, "not UTF-8": KEYS[1].encode() + b"\xff"}[kind])
    os.environ |= {"SECRET_KEY_FILE": str(home.path / "key"), f"{role}_FILE": str(path)}
    with at_most(seconds=2):
        (problem,) = home.problems().problems
    assert problem.id == "file-unreadable"
    assert str(path) in problem.message


def test_systemd_credentials(home: Home) -> None:
    os.environ |= {"CREDENTIALS_DIRECTORY": str(home.path), "SECRET_KEY": KEYS[3]}
    assert home.in_use() == (KEYS[3], [])  # a unit can have other credentials than a key
    for name, key in zip(("secret_key", "secret_key_next", "secret_key_fallbacks"), KEYS, strict=False):
        (home.path / name).write_text(key)
    assert home.ids() == ["key-twice"]
    del os.environ["SECRET_KEY"]
    assert home.in_use() == (KEYS[0], [KEYS[2], KEYS[1]])
    os.environ["APP_ENV"] = "production"
    shown = json.loads(home.key("show", "--json").stdout)
    assert shown["source"] == "secret files"
    assert [row["role"] for row in shown["keys"]] == ["current", "next", "previous"]


# When the key began to sign


def show(home: Home) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.key("show", "--json").stdout)
    return shown


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_key_is_as_old_as_its_file(home: Home) -> None:
    now = datetime.now(UTC)
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\nSECRET_KEY_FALLBACKS={KEYS[1]}\n")
    shown = show(home)
    assert abs(moment(shown["since"]) - now) < timedelta(minutes=1)
    assert moment(shown["retire_after"]) - moment(shown["since"]) == timedelta(days=31)
    (home.path / "secret_key").write_text(KEYS[2])
    os.environ |= {"APP_ENV": "production", "CREDENTIALS_DIRECTORY": str(home.path)}
    assert abs(moment(show(home)["since"]) - now) < timedelta(minutes=1)
    del os.environ["CREDENTIALS_DIRECTORY"]
    os.environ |= {"SECRET_KEY": KEYS[3], "SECRET_KEY_FALLBACKS": KEYS[4]}
    assert show(home)["since"] is None
    assert "key retire --force" in home.key("retire", code=1).stderr


# .env as people write it

FORMS = {
    "plain": "SECRET_KEY={}\n",
    "no newline": "SECRET_KEY={}",
    "crlf": "SECRET_KEY={}\r\nOTHER=1\r\n",
    "byte order mark": "\ufeffSECRET_KEY={}\n",
    "byte order mark, crlf, quotes": '\ufeffSECRET_KEY="{}"\r\n',
    "export": "export SECRET_KEY={}\n",
    "double quotes": 'SECRET_KEY="{}"\n',
    "single quotes": "SECRET_KEY='{}'\n",
    "spaces": "SECRET_KEY = {}\n",
    "comment": "SECRET_KEY={}   # mine\n",
    "commented out": "# SECRET_KEY=old\nSECRET_KEY={}\n",
    "twice": "SECRET_KEY={0}\nSECRET_KEY={0}\n",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", [KEYS[0], "a$HOME$PATH$$b" + KEYS[1]], ids=["hex", "dollars"])
def test_env_means_what_its_writer_meant(home: Home, form: str, key: str) -> None:
    data = form.format(key).encode()
    home.env.write_bytes(data)
    assert home.in_use("development") == (key, [])
    os.environ["APP_ENV"] = "development"
    home.key("revoke", "--yes")
    (new, others) = home.in_use("development")
    assert others == []
    assert new != key
    after = home.env.read_bytes()
    assert key.encode() not in after
    assert after.startswith(b"\xef\xbb\xbf") == data.startswith(b"\xef\xbb\xbf")
    assert (b"OTHER=1" in after) == (b"OTHER=1" in data)
    assert after.decode().count("\ufeff") == data.decode().count("\ufeff")


LINES = st.lists(
    st.sampled_from(["", "# a comment", "A=1", "B = 'two words' # why", "export C=$A", "  D=", 'E="x\\ny"', "F=a#b"]),
    max_size=8,
)


@given(before=LINES, after=LINES, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), bom=st.booleans())
@in_one_home
def test_changing_a_key_leaves_every_other_line(
    home: Home, before: list[str], after: list[str], end: str, last: bool, bom: bool
) -> None:
    text = end.join([*before, "SECRET_KEY='changeme'  # old", *after]) + (end if last else "")
    home.env.write_bytes((("\ufeff" if bom else "") + text).encode())
    os.environ["APP_ENV"] = "development"
    home.key("revoke", "--yes")
    lines = home.env.read_text("utf-8-sig").splitlines()
    changed = [line for line in lines if line.startswith("SECRET_KEY")]
    assert [line.partition("=")[0] for line in changed] == ["SECRET_KEY"]
    # python-dotenv takes empty lines for a part of the line that follows.
    assert [line for line in lines if line and line not in changed] == [line for line in (*before, *after) if line]


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="replace")))
@example(b"A=\0\n")
@example(b"\xff\xfeS\0E\0C\0")
@in_one_home
def test_whatever_env_holds_the_application_starts_or_says_why(home: Home, data: bytes) -> None:
    home.env.write_bytes(data + f"\nSECRET_KEY={KEYS[0]}\n".encode())
    with patch.dict(os.environ):
        home.refused("development")


def test_a_variable_that_is_set_wins_over_env(home: Home) -> None:
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\nFLASK_MAX_FORM_PARTS=7\n")
    with patch.dict(os.environ, FLASK_MAX_FORM_PARTS="8"):
        assert home.app(None).config["MAX_FORM_PARTS"] == 8
    assert home.app(None).config["MAX_FORM_PARTS"] == 7


def fingerprint_in_use(service: OwnService) -> str:
    """Of the key that the service has under the flask command, which reads .env by itself."""
    shown = json.loads(service.flask("key", "show", "--json"))
    assert shown["source"] == ".env"
    fingerprint: str = shown["keys"][0]["fingerprint"]
    code = "\nfrom flask import current_app; print(current_app.config['SECRET_KEY'].fingerprint)\n"
    env = clean_environ(PYTHONPATH=str(service.path / "src"))
    assert fingerprint in run(service.project.program("flask"), "shell", cwd=service.path, env=env, text=code)
    return fingerprint


def test_the_flask_command_has_the_key_of_env_verbatim(service: OwnService) -> None:
    key = 'a"$HOME$PATH#12e45' + KEYS[0]
    service.env.write_text(f"APP_ENV=development\nSECRET_KEY='{key}'\n")
    assert fingerprint_in_use(service) == fingerprint(key)


def test_a_key_that_the_flask_command_would_expand_is_rejected(service: OwnService) -> None:
    """It would be another key than that of the same .env under gunicorn."""
    for part in ("${PATH}", "${NOT_SET:-x}"):
        service.env.write_text(f"APP_ENV=development\nSECRET_KEY=a{part}b{KEYS[0]}\n")
        assert "[key-characters]" in service.flask("routes", code=1)
    service.flask("key", "revoke", "--yes")
    assert "${" not in key_of(service.path)
    service.flask("routes")


@pytest.mark.parametrize("name", ["FLASK_SECRET_KEY", "FLASK_SECRET_KEY__X"])
def test_a_prefixed_variable_is_one_line_of_the_flask_command(service: OwnService, name: str) -> None:
    (line,) = service.flask("run", code=1, **production(**{name: KEYS[0]})).splitlines()
    assert name in line
    assert KEYS[0] not in line


def test_a_bare_clone_is_told_one_command_and_nothing_about_production(service: OwnService) -> None:
    service.env.unlink()
    (line,) = service.flask("run", code=1).splitlines()
    assert "flask key init" in line
    assert not re.search("production|TRUSTED|APP_ENV|export", line.replace(str(service.path), ""))
    service.flask("key", "init")
    assert stat.S_IMODE(service.env.stat().st_mode) == 0o600
    assert weakness(key_of(service.path)) is None
    service.flask("routes")


def test_what_flask_takes_from_env_counts_in_development_alone(service: OwnService) -> None:
    """`flask doctor` says of production what `python -m flask_secure doctor` and gunicorn say of it."""
    (service.path / "hidden").write_text("long and secret")
    lines = ["TRUSTED_HOSTS=example.org", "FLASK_SESSION_COOKIE_HTTPONLY=false", "FLASK_DB_PASSWORD_FILE=hidden"]
    service.env.write_text("\n".join([service.env.read_text().rstrip(), *lines, ""]))

    def findings(program: str, *command: str, code: int, **more: str) -> list[str]:
        env = clean_environ(PYTHONPATH=str(service.path / "src"), **more)
        program = str(service.project.program(program))
        output = run(program, *command, "doctor", "--json", "--env", "production", cwd=service.path, code=code, env=env)
        return sorted(problem["id"] for problem in json.loads(output)["findings"])

    key = {"SECRET_KEY": secrets.token_hex(32)}
    assert findings("flask", code=1, **key) == ["hosts-missing"]
    assert findings("python", "-m", "flask_secure", code=1, **key) == ["hosts-missing"]
    both = key | {"TRUSTED_HOSTS": "example.com"}
    assert findings("flask", code=0, **both) == []
    assert "DB_PASSWORD" not in service.flask("config", "--env", "production")
    assert "FLASK_SESSION_COOKIE_HTTPONLY" in service.flask("config")
    output = service.flask("routes", code=1, APP_ENV="production", **key)
    assert "hosts-missing" in output


def test_a_parent_folders_env_is_rejected_by_name(service: OwnService) -> None:
    foreign = service.path.parent / ".env"
    service.env.rename(foreign)
    for arguments in (["routes"], ["run"], ["doctor"]):
        output = service.flask(*arguments, code=1)
        assert "env-foreign" in output
        assert str(foreign) in output
        assert key_of(foreign.parent) not in output
    skipped = service.flask("doctor", code=1, **production())
    fix = f"export FLASK_SKIP_DOTENV=1 FLASK_APP={SLUG}"
    assert fix in skipped
    service.flask("routes", FLASK_SKIP_DOTENV="1", FLASK_APP=SLUG, **production())
    assert "uv run flask key init" in output
    service.flask("key", "init")
    service.flask("routes")


@pytest.mark.parametrize("is_project", [False, True], ids=["folder", "project"])
def test_the_doctor_names_a_parent_folders_env_whose_application_flask_runs(
    service: OwnService, is_project: bool
) -> None:
    """The `flask` command runs what FLASK_APP in the nearest .env names, before any code of ours."""
    parent, foreign = service.path.parent, service.path.parent / ".env"
    service.env.unlink()
    if is_project:
        (parent / "pyproject.toml").touch()
    for place in (parent, service.path):
        (place / "evil.py").write_text("import flask\nprint('EVIL')\napp = create_app = flask.Flask(__name__)\n")
    for flask_app in (parent / "evil.py", "evil.py", "evil:create_app()", "missing"):
        foreign.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\nFLASK_APP={flask_app}\n")
        output = service.flask("doctor", code=1)
        assert "env-foreign" in output, flask_app
        assert str(foreign) in output
        assert "FLASK_APP" in output
        assert KEYS[0] not in output
        assert "EVIL" not in output


# The commands, on .env


@pytest.fixture
def development(home: Home) -> Home:
    """One whose .env has a key."""
    home.key("init")
    return home


def test_generate_prints_a_key_and_nothing_else(home: Home) -> None:
    generated = {home.key("generate").stdout for _ in range(3)}
    assert len(generated) == 3
    assert all(re.fullmatch("[0-9a-f]{64}\n", key) for key in generated)
    assert home.others() == {"pyproject.toml"}


def test_init_makes_a_key_once(home: Home) -> None:
    assert "new key" in home.key("init").output
    key, mode = home.values()["SECRET_KEY"], stat.S_IMODE(home.env.stat().st_mode)
    assert (weakness(key), mode) == (None, 0o600)
    assert home.in_use(None) == (key, [])
    before = home.env.read_bytes()
    assert "new key" not in home.key("init").output
    assert home.env.read_bytes() == before
    assert home.others() == {"pyproject.toml"}


@pytest.mark.parametrize("line", ["SECRET_KEY=\n", 'SECRET_KEY=""\n', "SECRET_KEY\n", "# SECRET_KEY=\n", ""])
def test_init_fills_in_an_empty_key(home: Home, line: str) -> None:
    home.env.write_text(f"# mine\nAPP_ENV=development\n{line}OTHER=1  # kept\n")
    home.env.chmod(0o644)
    home.key("init")
    assert weakness(home.values()["SECRET_KEY"]) is None
    assert {"# mine", "OTHER=1  # kept"} < set(home.env.read_text().splitlines())
    assert stat.S_IMODE(home.env.stat().st_mode) == 0o600
    home.app(None)


def test_init_keeps_a_key_in_any_form(home: Home) -> None:
    for form in FORMS.values():
        home.env.write_bytes(form.format(KEYS[0]).encode())
        assert "new key" not in home.key("init").output
        assert home.env.read_bytes() == form.format(KEYS[0]).encode()


def test_init_writes_through_a_symbolic_link(home: Home) -> None:
    target = home.path / "shared.env"
    target.write_text("APP_ENV=development\nSECRET_KEY=\n")
    home.env.symlink_to(target)
    home.key("init")
    assert home.env.is_symlink()
    assert home.values()["SECRET_KEY"] in target.read_text()


def test_a_rotation_on_env(development: Home) -> None:
    home = development
    home.env.write_text("# mine\n" + home.env.read_text() + "OTHER=1 # kept\n")
    home.env.chmod(0o640)
    first = home.values()["SECRET_KEY"]
    assert "key promote" in home.key("stage").stderr
    second = home.values()["SECRET_KEY_NEXT"]
    assert home.in_use(None) == (first, [second])
    assert "key promote" in home.key("stage", code=1).stderr

    assert "key retire" in home.key("promote").stderr
    assert home.in_use(None) == (second, [first])
    assert "key stage" in home.key("promote", code=1).stderr
    assert "key retire --force" in home.key("retire", code=1).stderr
    assert home.in_use(None) == (second, [first])

    with patch.dict(os.environ, FLASK_PERMANENT_SESSION_LIFETIME="1"):
        time.sleep(2.1)  # the time of a file counts in whole seconds
        home.key("retire")
    assert home.in_use(None) == (second, [])
    assert "no older key" in home.key("retire", code=1).stderr

    home.rotate()
    third = home.values()["SECRET_KEY"]
    assert home.in_use(None) == (third, [second])
    home.rotate()
    assert home.in_use(None)[1] == [second, third]
    home.key("retire", "--force")
    assert home.in_use(None)[1] == []

    home.rotate()
    before = home.env.read_bytes()
    for answer in ("", "n\n"):
        assert "logged out" in home.key("revoke", code=1, text=answer).stderr
        assert home.env.read_bytes() == before
    home.key("revoke", text="y\n")
    last, others = home.in_use(None)
    assert others == []
    assert last.encode() not in before
    assert {"# mine", "OTHER=1 # kept"} < set(home.env.read_text().splitlines())
    assert stat.S_IMODE(home.env.stat().st_mode) == 0o640
    assert home.others() == {"pyproject.toml"}


def test_show_tells_roles_by_fingerprints(development: Home) -> None:
    development.rotate()
    development.key("stage")
    values = development.values()
    shown = show(development)
    rows = {row["role"]: row["fingerprint"] for row in shown["keys"]}
    roles = zip(("current", "next", "previous"), ROLES, strict=True)
    assert rows == {role: fingerprint(values[name]) for role, name in roles}
    assert (shown["environment"], shown["source"]) == ("development", ".env")
    text = development.key("show").stdout
    assert all(each in text for each in rows.values())


def test_revoke_replaces_keys_that_are_rejected(home: Home) -> None:
    for text in ("SECRET_KEY=changeme\n", f"SECRET_KEY={KEYS[0]}\nSECRET_KEY_NEXT={KEYS[0]}\n", "SECRET_KEY=\n"):
        home.env.write_text(f"APP_ENV=development\n{text}")
        assert "key revoke" in str(home.problems(None))
        home.key("stage", code=1)
        home.key("revoke", "--yes")
        assert home.in_use(None)[1] == []


IN_ENV = [KEYS[0] + "," + KEYS[1], KEYS[0] + " " + KEYS[1], '"' + KEYS[0], "'" + KEYS[0]]


@pytest.mark.parametrize("key", IN_ENV, ids=["comma", "space", "double quote", "quote"])
def test_a_key_that_a_list_or_a_line_cannot_hold_is_rejected_at_start_up(home: Home, key: str) -> None:
    """Otherwise `stage` would be the first to say so, and only `revoke` would be left."""
    quote = '"' if "'" in key else "'"
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={quote}{key}{quote}\n")
    assert home.ids(None) == ["key-characters"]
    before = home.env.read_bytes()
    assert "[key-characters]" in home.key("stage", code=1).stderr
    assert home.env.read_bytes() == before
    home.key("revoke", "--yes")
    home.app(None)


@pytest.mark.parametrize("character", list("#'\"$`\\;&|<>(){}[]!*?~%^=+:@"))
def test_a_key_with_any_other_character_is_rotated(home: Home, character: str) -> None:
    """In .env, in variables and in files."""
    key = f"{KEYS[0]}{character}{KEYS[1]}"
    quote = '"' if character == "'" else "'"
    text = key.replace("\\", "\\\\")
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={quote}{text}{quote}\n")
    assert home.in_use(None) == (key, [])
    home.rotate()
    assert home.in_use(None)[1] == [key]
    home.env.unlink()
    (home.path / "secret_key").write_text(key)
    os.environ |= {"APP_ENV": "production", "CREDENTIALS_DIRECTORY": str(home.path)}
    assert home.in_use() == (key, [])
    home.rotate()
    assert home.in_use()[1] == [key]
    del os.environ["CREDENTIALS_DIRECTORY"]
    os.environ["SECRET_KEY"] = key
    os.environ |= home.printed_with_keys("stage")
    os.environ |= home.printed_with_keys("promote")
    del os.environ["SECRET_KEY_NEXT"]
    assert home.in_use()[1] == [key]


@pytest.mark.parametrize("text", ['["{0}"]', '["{0}", "{1}"]', '"{0},{1}"', "'{0}'"])
def test_a_list_in_json_or_in_quotes_is_rejected_at_start_up(home: Home, text: str) -> None:
    os.environ |= {"SECRET_KEY": KEYS[0], "SECRET_KEY_FALLBACKS": text.format(*KEYS[1:])}
    assert home.ids() == ["fallbacks-type"]
    del os.environ["SECRET_KEY"], os.environ["SECRET_KEY_FALLBACKS"]
    (home.path / "secret_key").write_text(KEYS[0])
    (home.path / "secret_key_fallbacks").write_text(text.format(*KEYS[1:]))
    os.environ["CREDENTIALS_DIRECTORY"] = str(home.path)
    assert home.ids() == ["fallbacks-type"]


@pytest.mark.parametrize("step", [("stage",), ("promote",), ("revoke", "--yes")], ids=lambda step: step[0])
def test_a_full_disk_leaves_env_as_it_was(development: Home, step: tuple[str, ...]) -> None:
    """Wherever the writing stops. Files can't grow over a limit, which is an OSError, as a full disk is."""
    home = development
    if step[0] == "promote":
        home.key("stage")
    before = home.env.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = 0
    for limit in range(0, len(before) + 260, 13):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            result = CliRunner().invoke(cli.key, list(step))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert home.others() == {"pyproject.toml"}, limit
        if result.exit_code == 0:
            break
        assert "[file-unwritable]" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert home.env.read_bytes() == before, limit
        failed += 1
    assert failed
    home.app(None)
    assert home.env.read_bytes() != before


def test_a_full_disk_leaves_no_env_without_a_key(home: Home) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        result = CliRunner().invoke(cli.key, ["init"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "[file-unwritable]" in result.stderr
    assert home.others() == {"pyproject.toml"}
    home.key("init")
    home.app(None)


@pytest.mark.parametrize("error", [1, 38, 95], ids=["EPERM", "ENOSYS", "EOPNOTSUPP"])
def test_init_works_without_hard_links(home: Home, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """exFAT and some shared folders have none."""

    def link(*_: object) -> None:
        raise OSError(error, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    home.key("init")
    assert stat.S_IMODE(home.env.stat().st_mode) == 0o600
    assert home.others() == {"pyproject.toml"}
    home.app("development")


def test_without_hard_links_an_env_that_appears_meanwhile_stays(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(_: object, target: Path) -> None:
        target.write_text("A=1\n")
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert "[file-unwritable]" in home.key("init", code=1).stderr
    assert home.env.read_text() == "A=1\n"


@pytest.mark.parametrize("name", [".env.draft-abcd1234", ".env.abcd1234"], ids=["now", "of 0.3"])
def test_what_a_killed_command_left_is_removed_by_the_next(development: Home, name: str) -> None:
    leftover = development.path / name
    leftover.mkdir()
    (leftover / "draft").write_text(f"SECRET_KEY={KEYS[0]}\n")
    (development.path / ".env.backup12").mkdir()  # the owner's
    development.key("stage")
    assert not leftover.exists()
    assert (development.path / ".env.backup12").exists()


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_read_only_folder_is_one_line(home: Home, existing: bool) -> None:
    if existing:
        home.key("init")
    before = home.values()
    obeying = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []  # root obeys no mode
    command = [*obeying, sys.executable, "-m", "flask_secure", "key", "stage" if existing else "init"]
    environ = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1")
    home.path.chmod(0o500)
    try:
        output = run(*command, cwd=home.path, env=environ, code=1)
    finally:
        home.path.chmod(0o700)
    (line,) = output.splitlines()
    assert "[file-unwritable]" in line
    assert str(home.env) in line
    assert home.values() == before


# Several commands at once


def test_of_two_commands_at_once_the_second_sees_what_the_first_has_done(development: Home) -> None:
    first = development.values()["SECRET_KEY"]
    results = development.at_once("stage")
    assert sorted(code for code, _ in results) == [0, 1, 1]
    assert sum("A key is staged already" in output for _, output in results) == 2
    assert development.in_use(None) == (first, [development.values()["SECRET_KEY_NEXT"]])
    assert development.others() == {"pyproject.toml"}


@pytest.mark.parametrize("empty", [True, False], ids=["empty key", "no file"])
def test_two_inits_at_once_report_one_new_key(home: Home, empty: bool) -> None:
    if empty:
        home.env.write_text("APP_ENV=development\nSECRET_KEY=\n")
    results = home.at_once("init")
    new = [output for _, output in results if "new key" in output]
    assert len(new) == 1
    assert fingerprint(home.values()["SECRET_KEY"]) in new[0]
    assert all("as it is" in output for _, output in results if output != new[0])
    assert home.env.read_text().count("SECRET_KEY=") == 1


# The commands, where the keys come from elsewhere


def test_with_variables_the_commands_print_and_change_nothing(development: Home) -> None:
    home, before = development, development.env.read_bytes()

    def deploy(values: dict[str, str]) -> None:
        for name in ROLES:
            os.environ.pop(name, None)
        os.environ.update(values)

    os.environ |= {"APP_ENV": "production", "SECRET_KEY": KEYS[0]}
    staged = home.printed("stage")
    assert staged.keys() == {"SECRET_KEY", "SECRET_KEY_NEXT"}
    assert staged["SECRET_KEY"] == KEYS[0]
    deploy(staged)
    promoted = home.printed("promote")
    assert promoted.keys() == {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
    assert (promoted["SECRET_KEY"], promoted["SECRET_KEY_FALLBACKS"]) == (staged["SECRET_KEY_NEXT"], KEYS[0])
    assert "remove SECRET_KEY_NEXT" in home.key("promote").stderr
    deploy(promoted)
    assert home.in_use() == (staged["SECRET_KEY_NEXT"], [KEYS[0]])
    assert home.key("retire", code=1).stdout == ""
    assert home.printed("retire", "--force").keys() == {"SECRET_KEY"}
    for revoked in (home.printed("revoke", "--yes"), home.printed("revoke", text="y\n")):
        assert revoked.keys() == {"SECRET_KEY"}
        assert revoked["SECRET_KEY"] not in (KEYS[0], promoted["SECRET_KEY"])
    deploy(revoked)
    home.app()
    assert home.env.read_bytes() == before
    assert home.others() == {"pyproject.toml"}


def test_with_a_configuration_the_commands_print_variables(development: Home) -> None:
    home = development
    os.environ["APP_ENV"] = "production"
    home.instance.parent.mkdir()
    home.instance.write_text(f"SECRET_KEY = '{KEYS[0]}'\nSECRET_KEY_FALLBACKS = ['{KEYS[1]}']\n")
    staged = home.printed("stage")
    assert (staged["SECRET_KEY"], staged["SECRET_KEY_FALLBACKS"]) == (KEYS[0], KEYS[1])
    assert "instance/config.py" in home.key("stage").stderr
    home.instance.write_text(f"SECRET_KEY = {os.urandom(24)!r}\n")
    assert "[key-characters]" in home.key("stage", code=1).stderr
    assert home.printed("revoke", "--yes").keys() == {"SECRET_KEY"}


# The commands, on key files


class KeyFiles:
    """A folder of key files that can be written, as an administrator has it."""

    def __init__(self, home: Home) -> None:
        self.home, self.path = home, home.path / "keys"
        self.path.mkdir(0o700)
        (self.path / "secret_key").write_text(f"{KEYS[0]}\n")
        (self.path / "secret_key").chmod(0o640)
        os.environ |= {"APP_ENV": "production", "CREDENTIALS_DIRECTORY": str(self.path)}

    def texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.path.iterdir()}

    def key(self, *arguments: str, code: int = 0) -> Result:
        """Run `flask key ARGUMENTS`, which prints no key that was or is in a file."""
        before = self.texts()
        result = self.home.key(*arguments, code=code)
        shown = re.findall("[0-9a-f]{64}", "".join([*before.values(), *self.texts().values()]))
        assert not [key for key in shown if key in result.output]
        return result

    def in_use(self) -> list[str]:
        """The key that signs, then the others."""
        current, others = self.home.in_use()
        return [current, *others]


@pytest.fixture
def key_files(home: Home) -> KeyFiles:
    return KeyFiles(home)


def test_a_rotation_on_key_files(key_files: KeyFiles) -> None:
    path, key = key_files.path / "secret_key", key_files.key
    os.utime(path, (0, 0))
    said = key("stage")
    assert str(key_files.path) in said.stdout
    assert "Restart" in said.stdout
    assert path.stat().st_mtime == 0  # it has not been written
    old, following = key_files.in_use()
    assert old == KEYS[0]
    assert "key promote" in key("stage", code=1).stderr
    key("promote")
    assert key_files.in_use() == [following, KEYS[0]]
    assert key_files.texts()["secret_key_next"] == ""
    assert "key retire --force" in key("retire", code=1).stderr
    key("stage")
    key("promote")
    newest = key_files.in_use()
    assert newest[1:] == [KEYS[0], following]
    with patch.dict(os.environ, FLASK_PERMANENT_SESSION_LIFETIME="1"):
        time.sleep(2.1)  # the time of a file counts in whole seconds
        key("retire")
    assert key_files.in_use() == newest[:1]
    key("revoke", "--yes")
    assert key_files.in_use() not in (newest[:1], [KEYS[0]])
    assert key_files.texts().keys() == {"secret_key", "secret_key_next", "secret_key_fallbacks"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in key_files.path.iterdir()} == {0o640}


def test_key_files_are_written_where_variables_name_them(home: Home) -> None:
    (home.path / "a").write_text(KEYS[0])
    (home.path / "b").touch(0o600)
    os.environ |= {"SECRET_KEY_FILE": str(home.path / "a"), "SECRET_KEY_NEXT_FILE": str(home.path / "b")}
    os.environ["APP_ENV"] = "production"
    home.rotate()
    assert ((home.path / "b").read_text(), (home.path / "a_fallbacks").read_text()) == ("", f"{KEYS[0]}\n")
    assert home.in_use() == ((home.path / "a").read_text().strip(), [KEYS[0]])


def test_key_files_behind_a_link_are_written_there(key_files: KeyFiles) -> None:
    (key_files.path / "secret_key").rename(key_files.home.path / "elsewhere")
    (key_files.path / "secret_key").symlink_to("../elsewhere")
    key_files.key("revoke", "--yes")
    assert (key_files.path / "secret_key").is_symlink()
    assert key_files.in_use() == [(key_files.home.path / "elsewhere").read_text().strip()]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_between_two_writes_of_a_promotion_every_key_verifies(
    key_files: KeyFiles, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Stopped after so many files, a promotion leaves what starts; once more ends it."""
    key_files.key("stage")
    before, done = key_files.in_use(), []

    def stopping(write: Any) -> Any:
        def replace(*paths: Path) -> None:
            if len(done) == writes:
                raise OSError(28, "No space left on device")
            done.append(paths)
            write(*paths)

        return replace

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", stopping(os.replace))
        patched.setattr(os, "link", stopping(os.link))
        assert "[file-unwritable]" in key_files.key("promote", code=1).stderr
    assert len(done) == writes
    assert set(key_files.in_use()) == set(before)
    assert len(key_files.in_use()) == len(before)
    ring, problems = keys.check(record_of(key_files.home.app()))
    assert ring is not None
    assert [(each.id, each.level) for each in problems] == [("key-repeated", "warning")] * (writes > 0)
    assert all(each.fix.endswith("key promote") for each in problems)
    assert "key promote" in key_files.key("stage", code=1).stderr
    key_files.key("promote")
    assert key_files.in_use() == [before[1], before[0]]
    assert keys.check(record_of(key_files.home.app()))[1] == []


@pytest.mark.parametrize("reads", [1, 2])
def test_a_promotion_between_two_reads_hides_no_key(
    key_files: KeyFiles, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    """An instance that starts has read so many files when the promotion begins and ends."""
    record, read, done = record_of(key_files.home.app()), sources.read_secret, []
    key_files.key("stage")
    before = set(key_files.in_use())

    def interrupted(path: Path, name: str) -> str:
        text = read(path, name)
        done.append(name)
        if len(done) == reads:
            key_files.key("promote")
        return text

    monkeypatch.setattr(sources, "read_secret", interrupted)
    ring = keys.load(record)
    assert {ring.current, *ring.verifying()} == before
    assert key_files.texts()["secret_key_next"] == ""


def test_a_key_file_that_nobody_may_write_is_replaced(key_files: KeyFiles) -> None:
    """A mode of 0400 is the file's, and the new one gets it when it has been written."""
    path = key_files.path / "secret_key"
    path.chmod(0o400)
    obeying = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    environ = {**os.environ, "PYTHONPATH": str(LIBRARY.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    for step in ("stage", "promote"):
        run(*obeying, sys.executable, "-m", "flask_secure", "key", step, cwd=key_files.home.path, env=environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_read_only_copy_of_key_files_names_the_originals(key_files: KeyFiles) -> None:
    """As in a unit's $CREDENTIALS_DIRECTORY."""
    obeying = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []  # root obeys no mode
    environ = {**os.environ, "PYTHONPATH": str(LIBRARY.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    before = key_files.texts()
    key_files.path.chmod(0o500)
    try:
        output = run(
            *obeying, sys.executable, "-m", "flask_secure", "key", "stage", cwd=key_files.home.path, env=environ, code=1
        )
    finally:
        key_files.path.chmod(0o700)
    (line,) = output.splitlines()
    assert str(key_files.path) in line
    assert "CREDENTIALS_DIRECTORY=FOLDER" in line
    assert key_files.texts() == before


def test_print_is_for_a_pipe_and_changes_nothing(key_files: KeyFiles) -> None:
    before = key_files.texts()
    printed = key_files.home.printed("stage", "--print")
    assert printed.keys() == {"SECRET_KEY", "SECRET_KEY_NEXT"}
    assert key_files.texts() == before


@pytest.mark.parametrize(
    ("elsewhere", "code"),
    [
        ({"SECRET_KEY": "weak"}, 0),
        ({"SECRET_KEY": KEYS[0], "SECRET_KEY_NEXT": KEYS[0]}, 0),
        ({"SECRET_KEY": ""}, 0),
        ({"SECRET_KEY_FILE": "/missing"}, 1),
    ],
    ids=["weak", "repeated", "empty", "missing file"],
)
def test_revoke_leaves_env_alone_where_the_key_comes_from_elsewhere(
    development: Home, elsewhere: dict[str, str], code: int
) -> None:
    before = development.env.read_bytes()
    os.environ |= elsewhere
    development.key("revoke", "--yes", code=code)
    assert development.env.read_bytes() == before


def test_the_page_on_changing_the_key(service: OwnService) -> None:
    """Its commands, in a project of its own; they print no key but those that go to a file."""
    page = (service.path / "docs" / "changing-the-key.md").read_text()
    tried, in_variables = re.findall("(?s)```sh\n(.*?)```", page)
    path = f"{service.project.program('flask').parent}:{os.environ['PATH']}"
    env = clean_environ(PATH=path, PYTHONPATH=str(service.path / "src"))
    first = key_of(service.path)
    output = run("sh", "-ec", tried.replace("uv run ", ""), cwd=service.path, env=env)
    second = key_of(service.path)
    assert second != first
    assert not [key for key in (first, second) if key in output]
    before, after = re.findall("^current +([0-9a-f]{12})", output, re.MULTILINE)
    assert (before, after) == (fingerprint(first), fingerprint(second))
    assert "previous" in output
    variables = production()
    output = run("sh", "-ec", in_variables, cwd=service.path, env=env | variables)
    new = service.path / "new.env"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in new.read_text().splitlines())
    assert values.keys() == {"SECRET_KEY", "SECRET_KEY_NEXT"}
    assert not [key for key in values.values() if key in output]


# The rotation


class Rotation(RuleBasedStateMachine):
    """Any sequence of steps and days: what a current key signed verifies for its lifetime, unless it was revoked.

    Time passes by making everything that has happened older.
    """

    LIFETIME = timedelta(days=31)

    @initialize()
    def start(self) -> None:
        self.ring = Ring(sources.Variables(), generate())
        self.signed: list[tuple[bytes, timedelta]] = []
        self.dropped: set[str] = set()
        with patch.dict(os.environ, clean_environ(TRUSTED_HOSTS="localhost"), clear=True):
            self.record = record_of(Home(Path(__file__).parent / "nowhere").app(SECRET_KEY=self.ring.current))

    def step(self, change: Any, **options: Any) -> bool:
        before = {self.ring.current, *self.ring.verifying()}
        try:
            self.ring = change(self.ring, **options)
        except ClickException:
            assert before == {self.ring.current, *self.ring.verifying()}
            return False
        self.dropped |= before - {self.ring.current, *self.ring.verifying()}
        return True

    def signer(self) -> TimestampSigner:
        return TimestampSigner([*self.ring.verifying(), self.ring.current])

    @rule()
    def sign(self) -> None:
        self.signed.append((self.signer().sign("x"), timedelta()))

    @rule(days=st.floats(min_value=0.01, max_value=40))
    def wait(self, days: float) -> None:
        passed = timedelta(days=days)
        self.signed = [(cookie, age + passed) for cookie, age in self.signed]
        if self.ring.since is not None:
            self.ring = replace(self.ring, since=self.ring.since - passed)

    @rule()
    def stage(self) -> None:
        current, staged = self.ring.current, self.step(rotation.stage)
        assert self.ring.current == current
        assert not staged or self.ring.next is not None

    @rule()
    def promote(self) -> None:
        following, promoted = self.ring.next, self.step(rotation.promote)
        assert promoted == (following is not None)
        assert not promoted or self.ring.current == following

    @rule()
    def retire(self) -> None:
        self.step(rotation.retire, lifetime=self.LIFETIME)

    @precondition(lambda self: self.ring.fallbacks)
    @rule()
    def force_retirement(self) -> None:
        assert self.step(rotation.retire, lifetime=self.LIFETIME, force=True)
        current = TimestampSigner(self.ring.current)
        self.signed = [(cookie, age) for cookie, age in self.signed if current.validate(cookie)]

    @precondition(lambda self: len(self.signed) > 2)
    @rule()
    def revoke(self) -> None:
        assert self.step(rotation.revoke)
        assert self.ring.verifying() == []
        self.signed.clear()

    @invariant()
    def young_sessions_verify(self) -> None:
        signer = self.signer()
        assert all(signer.validate(cookie) for cookie, age in self.signed if age < self.LIFETIME)

    @invariant()
    def dropped_keys_do_not_verify(self) -> None:
        signer = self.signer()
        for key in self.dropped:
            with pytest.raises(BadSignature):
                signer.unsign(TimestampSigner(key).sign("x"))

    @invariant()
    def variables_hold_it_and_are_accepted(self) -> None:
        values = {name: value for name, value in key_text.to_variables(self.ring).items() if value is not None}
        with patch.dict(os.environ, clean_environ(**values), clear=True):
            ring = keys.load(self.record)
        assert (ring.current, ring.verifying()) == (self.ring.current, self.ring.verifying())


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)

"""The key's whole life: where it comes from, .env as people write it, the commands, the ring."""

import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from itsdangerous import BadSignature, TimestampSigner
from support import RAW_PACKAGE, SLUG, OwnService, Project, clean_environ, key_of, production, run

KEYS = [secrets.token_hex(32) for _ in range(12)]


def raw(name: str) -> ModuleType:
    """A module of the package as it lies in the template."""
    if "raw_service" not in sys.modules:
        import importlib.util

        location = importlib.util.spec_from_file_location(
            "raw_service", RAW_PACKAGE / "__init__.py", submodule_search_locations=[str(RAW_PACKAGE)]
        )
        assert location is not None
        assert location.loader is not None
        sys.modules["raw_service"] = importlib.util.module_from_spec(location)
        location.loader.exec_module(sys.modules["raw_service"])
    return import_module(f"raw_service.{name}")


envfile, policy, ring, rotation = (raw(name) for name in ("envfile", "keys.policy", "keys.ring", "keys.rotation"))


# The policy


@given(st.binary(min_size=16, max_size=64))
def test_random_bytes_pass_unless_they_are_patterned(data: bytes) -> None:
    problem = policy.refusal(data)
    assert problem is None or problem.id in ("key-patterned", "key-placeholder")


def test_a_thousand_keys_of_each_usual_kind_pass() -> None:
    makers = (
        lambda: os.urandom(16),
        lambda: os.urandom(16).hex(),
        lambda: secrets.token_hex(16),
        lambda: secrets.token_urlsafe(16),
        lambda: secrets.token_urlsafe(32),
        lambda: str(__import__("uuid").uuid4()),
    )
    assert [problem for make in makers for _ in range(1000) if (problem := policy.refusal(make()))] == []


@given(st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.lists(st.text()), st.text(max_size=15)))
def test_anything_else_is_refused_without_showing_it(value: object) -> None:
    problem = policy.refusal(value)
    assert problem is not None
    assert not isinstance(value, str) or len(value) < 4 or value not in problem.reason


def test_every_sample_key_is_refused_also_as_a_part() -> None:
    for sample in policy.SAMPLES:
        assert policy.refusal(sample) is not None, sample
        if len(sample) > 5:
            assert policy.refusal(f"{KEYS[0][:20]}{sample.upper()}{KEYS[1][:20]}").id == "key-placeholder", sample


# .env as people write it


@pytest.mark.parametrize(
    "text",
    [
        "SECRET_KEY={}\n",
        "SECRET_KEY={}",
        "SECRET_KEY={}\r\nAPP_ENV=development\r\n",
        "\ufeffSECRET_KEY={}\n",
        "export SECRET_KEY={}\n",
        'SECRET_KEY="{}"\n',
        "SECRET_KEY='{}'\n",
        "SECRET_KEY = {}\n",
        "SECRET_KEY={}   # mine\n",
        "# SECRET_KEY=old\nSECRET_KEY={}\n",
        "SECRET_KEY={0}\nSECRET_KEY={0}\n",
    ],
)
def test_env_means_what_its_writer_meant(text: str) -> None:
    for key in (KEYS[0], "a$HOME${PATH}b#c" + KEYS[1]):
        data = text.format(key).encode()
        assert envfile.parse(data)["SECRET_KEY"] == key
        changed = envfile.changed(data, {"SECRET_KEY": KEYS[2]})
        assert envfile.parse(changed)["SECRET_KEY"] == KEYS[2]
        assert key.encode() not in changed


@given(
    old=st.text("abXY01 #'\"\\=$-", min_size=1), new=st.text('abXY01 #"=$-,', min_size=1), quote=st.sampled_from("'\"")
)
def test_a_quoted_value_is_replaced_whole_or_not_at_all(old: str, new: str, quote: str) -> None:
    escaped = old.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    data = f"SECRET_KEY={quote}{escaped}{quote}  # mine\nA=1\n".encode()
    assert envfile.parse(data) == {"SECRET_KEY": old, "A": "1"}
    assert envfile.changed(data, {"SECRET_KEY": old, "B": "2"}) == data + b"B=2\n"
    changed = envfile.changed(data, {"SECRET_KEY": new, "SECRET_KEY_FALLBACKS": old})
    assert envfile.parse(changed) == {"SECRET_KEY": new, "SECRET_KEY_FALLBACKS": old, "A": "1"}
    assert b"  # mine\nA=1\n" in changed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('A=1\n\nSECRET_KEY="abc\n', 'line 3 has a " that is not closed'),
        ("A=1\nSECRET_KEY='abc\nB=2\n", "line 2 has a ' that is not closed"),
        ("A=1\nSECRET_KEY\n", "line 2 has no ="),
        ("SECRET_KEY=a\nB=1\nSECRET_KEY=b\n", "line 3 sets SECRET_KEY a second time, to another value"),
        ("SECRET_KEY=a\n".encode("utf-16"), "is not UTF-8"),
        ("SECRET_KEY=a\n".encode("utf-16-le"), "save the file as UTF-8"),
        (b"A=1\nB=\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_env_that_is_not_clear_is_an_error_with_its_line(data: str | bytes, why: str) -> None:
    with pytest.raises(envfile.EnvFileError) as error:
        envfile.parse(data if isinstance(data, bytes) else data.encode())
    assert why in str(error.value)


LINES = st.lists(
    st.sampled_from(["", "# a comment", "A=1", "B = 'two words' # why", "export C=$A", "  D=", 'E="x\\ny"', "F=a#b"]),
    max_size=8,
)


@given(before=LINES, after=LINES, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), bom=st.booleans())
def test_changing_a_key_leaves_every_other_byte(
    before: list[str], after: list[str], end: str, last: bool, bom: bool
) -> None:
    def data(line: str) -> bytes:
        text = end.join([*before, line, *after]) + (end if last else "")
        return ("\ufeff" if bom else "").encode() + text.encode()

    changed = envfile.changed(data("export SECRET_KEY='old'  # mine"), {"SECRET_KEY": KEYS[0]})
    assert changed == data(f"export SECRET_KEY={KEYS[0]}  # mine")


# The ring


class Life(RuleBasedStateMachine):
    """Any sequence of steps and days: what a current key signed is readable for its lifetime, unless revoked."""

    LIFETIME = timedelta(days=31)

    @initialize()
    def start(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ring = ring.KeyRing(ring.mint(), since=self.now)
        self.signed: list[tuple[Any, datetime]] = []
        self.dropped: set[Any] = set()

    @rule()
    def sign(self) -> None:
        self.signed.append((self.ring.current, self.now))

    @rule(days=st.floats(min_value=0.01, max_value=40))
    def wait(self, days: float) -> None:
        self.now += timedelta(days=days)

    def attempt(self, step: Any) -> None:
        before = set(self.ring)
        try:
            self.ring = step()
        except rotation.RotationError:
            assert set(self.ring) == before
            return
        self.dropped |= before - set(self.ring)

    @rule()
    def stage(self) -> None:
        self.attempt(lambda: rotation.stage(self.ring, ring.mint()))

    @rule()
    def promote(self) -> None:
        self.attempt(lambda: rotation.promote(self.ring, self.now))

    @rule()
    def rotate(self) -> None:
        self.attempt(lambda: rotation.rotate(self.ring, ring.mint(), self.now))

    @rule()
    def retire(self) -> None:
        self.attempt(lambda: rotation.retire(self.ring, self.now, self.LIFETIME))

    @precondition(lambda self: len(self.signed) > 2)
    @rule()
    def revoke(self) -> None:
        self.attempt(lambda: rotation.revoke(ring.mint(), self.now))
        self.signed.clear()

    @invariant()
    def young_sessions_are_readable(self) -> None:
        for key, when in self.signed:
            assert key in set(self.ring) or self.now - when >= self.LIFETIME

    @invariant()
    def nothing_dropped_verifies(self) -> None:
        verifier = TimestampSigner(list(self.ring))
        for key in self.dropped:
            with pytest.raises(BadSignature):
                verifier.unsign(TimestampSigner(key).sign("x"))

    @invariant()
    def the_policy_agrees(self) -> None:
        assert policy.fallbacks_refusal(self.ring.previous) is None
        assert not [key for key in self.ring.fallbacks() if policy.repeated(key, self.ring)]


TestLife = Life.TestCase


# Sources and commands, in the real service


@pytest.fixture
def home(fresh: Path, project: Project) -> Iterator["Home"]:
    return Home(fresh, project)


class Home(OwnService):
    """One whose keys are looked at."""

    def output(self, *arguments: str, **more: str) -> str:
        """Standard output alone, as a pipe takes it."""
        env = clean_environ(PYTHONPATH=str(self.path / "src"), **more)
        command = [str(self.project.program("flask")), *arguments]
        done = subprocess.run(command, cwd=self.path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def variables(self) -> dict[str, str]:
        values: dict[str, str] = envfile.parse(self.env.read_bytes())
        return values


def test_generate_prints_a_key_and_nothing_else(home: Home) -> None:
    keys = {home.output("key", "generate") for _ in range(2)}
    assert len(keys) == 2
    assert all(len(key) == 65 and policy.refusal(key.rstrip("\n")) is None for key in keys)


def test_a_rotation_on_env(home: Home) -> None:
    home.env.write_text("# mine\n" + home.env.read_text() + "OTHER=1 # kept\n")
    home.env.chmod(0o640)
    first = key_of(home.path)
    shown = [home.flask("key", "stage")]
    second = home.variables()["SECRET_KEY_NEXT"]
    assert home.variables()["SECRET_KEY"] == first
    assert "flask key promote" in home.flask("key", "stage", code=1)

    shown.append(home.flask("key", "promote"))
    assert (home.variables()["SECRET_KEY"], home.variables()["SECRET_KEY_FALLBACKS"]) == (second, first)
    assert "SECRET_KEY_NEXT" not in home.variables()
    assert "flask key stage" in home.flask("key", "promote", code=1)

    refused = home.flask("key", "retire", code=1)
    assert "are valid until" in refused
    home.env.write_text(home.env.read_text().replace("SINCE=20", "SINCE=19"))
    shown.append(home.flask("key", "retire"))
    assert home.variables().keys() == {"APP_ENV", "SECRET_KEY", "SECRET_KEY_SINCE", "OTHER"}

    shown.append(home.flask("key", "rotate"))
    third = home.variables()["SECRET_KEY"]
    shown.append(home.flask("key", "retire", "--force"))
    shown.append(home.flask("key", "rotate"))
    shown.append(home.flask("key", "show"))
    shown.append(home.flask("key", "show", "--json"))
    assert '"role": "previous"' in shown[-1]

    assert "logged out" in home.flask("key", "revoke", code=1)  # asked, and not answered
    assert home.variables()["SECRET_KEY_FALLBACKS"] == third
    shown.append(home.flask("key", "revoke", "--yes"))
    assert "SECRET_KEY_FALLBACKS" not in home.variables()
    keys = {first, second, third, key_of(home.path)}
    assert len(keys) == 4
    assert not [key for key in keys for words in [*shown, refused] if key in words]
    text = home.env.read_text()
    assert text.startswith("# mine\n# The settings")
    assert "OTHER=1 # kept\n" in text
    assert stat.S_IMODE(home.env.stat().st_mode) == 0o640
    assert list(home.path.glob(".env.*")) == [home.path / ".env.example"]


def test_revoke_replaces_a_key_that_the_service_refuses(home: Home) -> None:
    home.env.write_text("APP_ENV=development\nSECRET_KEY=changeme\n")
    assert "[key-placeholder]. uv run flask key revoke" in home.flask("run", code=1)
    home.flask("key", "revoke", "--yes")
    assert len(key_of(home.path)) == 64
    home.flask("key", "show")


def test_two_at_once_leave_one_outcome(home: Home) -> None:
    first = key_of(home.path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: home.flask("key", "rotate"), range(4)))
    values = home.variables()
    fallbacks = values["SECRET_KEY_FALLBACKS"].split(",")
    assert fallbacks[0] == first
    assert len({*fallbacks, values["SECRET_KEY"]}) == 5  # each built on the one before it: no key was lost
    assert list(home.path.glob(".env.*")) == [home.path / ".env.example"]
    home.flask("key", "show")


def test_a_full_disk_leaves_the_old_file(home: Home) -> None:
    before = home.env.read_bytes()
    script = 'ulimit -f 0; trap "" XFSZ; exec "$0" key rotate'
    env = clean_environ(PYTHONPATH=str(home.path / "src"), PYTHONDONTWRITEBYTECODE="1")
    output = run("sh", "-c", script, home.project.program("flask"), cwd=home.path, env=env, code=1)
    assert "can't be written" in output
    assert home.env.read_bytes() == before
    assert list(home.path.glob(".env.*")) == [home.path / ".env.example"]


def test_elsewhere_the_commands_print_assignments_and_change_nothing(home: Home) -> None:
    before = home.env.read_bytes()
    key = {"SECRET_KEY": KEYS[0], "APP_ENV": "production"}

    def values(output: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in output.splitlines())

    staged = values(home.output("key", "stage", **key))
    assert staged["SECRET_KEY"] == KEYS[0]
    promoted = values(home.output("key", "promote", **key | staged))
    assert (promoted["SECRET_KEY"], promoted["SECRET_KEY_FALLBACKS"]) == (staged["SECRET_KEY_NEXT"], KEYS[0])
    assert "SECRET_KEY_NEXT" not in promoted
    home.flask("key", "retire", code=1, **{"APP_ENV": "production"} | promoted)
    retired = values(home.output("key", "retire", "--force", **{"APP_ENV": "production"} | promoted))
    assert retired.keys() == {"SECRET_KEY", "SECRET_KEY_SINCE"}
    revoked = values(home.output("key", "revoke", "--yes", **{"APP_ENV": "production"} | promoted))
    assert revoked["SECRET_KEY"] not in (KEYS[0], promoted["SECRET_KEY"])
    assert home.env.read_bytes() == before


def test_secret_files(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    env = {"APP_ENV": "production", "SECRET_KEY_FILE": str(secret)}
    fallbacks = tmp_path / "fallbacks"
    fallbacks.write_text(f"{KEYS[1]}\n{KEYS[2]}\n")
    for end in ("", "\n", "\r\n"):
        secret.write_text(KEYS[0] + end)
        output = home.flask("key", "show", **env, SECRET_KEY_FALLBACKS_FILE=str(fallbacks))
        assert "from         secret files" in output
        assert output.count("previous") == 2
        assert ring.fingerprint(KEYS[0]) in output
    assert "[key-twice]" in home.flask("key", "show", code=1, **env, SECRET_KEY=KEYS[3])
    assert "SECRET_KEY_NEXT_FILE is set without" in home.flask("key", "show", code=1, SECRET_KEY_NEXT_FILE=str(secret))
    assert "secret files" in home.flask("key", "show", **env, SECRET_KEY=KEYS[0])
    more = {"SECRET_KEY": KEYS[0], "SECRET_KEY_FALLBACKS": KEYS[5]}
    assert "[key-twice]" in home.flask("key", "show", code=1, **env, **more)


def test_systemd_credentials(home: Home, tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(KEYS[0])
    (tmp_path / "secret_key_next").write_text(KEYS[1])
    output = home.flask("key", "show", APP_ENV="production", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert output.index(ring.fingerprint(KEYS[0])) < output.index(ring.fingerprint(KEYS[1]))


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "binary"])
def test_a_secret_file_that_cannot_be_read_is_told_with_its_path(home: Home, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"\n", "binary": KEYS[0].encode() + b"\xff"}[kind])
    output = home.flask("run", code=1, APP_ENV="production", SECRET_KEY_FILE=str(path))
    assert f"SECRET_KEY can't be read from {path}: " in output
    assert len(output.splitlines()) == 1
    assert KEYS[0] not in output


def test_the_example_may_not_hold_the_key(home: Home) -> None:
    example = home.path / ".env.example"
    example.write_text(example.read_text().replace("SECRET_KEY=", f"SECRET_KEY={key_of(home.path)}"))
    assert "[key-example]" in home.flask("run", code=1)


# Sessions

FORGE = f"""
import sys
from {SLUG} import create_app
app = create_app("production")
answers = []
for line in sys.stdin.read().split("\\n"):
    client = app.test_client()
    client.set_cookie(app.config["SESSION_COOKIE_NAME"], line)
    answer = client.get("/", base_url="https://localhost")
    answers.append("first visit" not in answer.text)
print(answers)
print(dict(app.session_interface.counts))
"""


def cookie(key: str | bytes, visits: int = 7, at: float | None = None) -> str:
    """A session cookie as Flask signs it with `key`."""
    from flask import Flask
    from flask.sessions import SecureCookieSessionInterface

    app = Flask("forger")
    app.secret_key = key or "x"
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    serializer.secret_keys = [key if isinstance(key, bytes) else key.encode()]
    return serializer.dumps({"visits": visits})  # type: ignore[no-any-return]


def test_forging_attempts(home: Home) -> None:
    """Signed with nothing, a character of a fallback, a retired key, development's key, a placeholder."""
    current, fallback, retired = KEYS[:3]
    forged = ["", fallback[0], fallback[-1], retired, key_of(home.path), "not-so-secret", current[:-1]]
    cookies = [cookie(key) for key in (current, fallback, *forged)]
    keys = {"SECRET_KEY": current, "SECRET_KEY_FALLBACKS": fallback}
    env = clean_environ(**production(**keys), PYTHONPATH=str(home.path / "src"))
    output = run(home.project.program("python"), "-c", FORGE, cwd=home.path, env=env, text="\n".join(cookies))
    assert str([True, True, *[False] * len(forged)]) in output
    assert str({"fallback": 1, "rejected": len(forged)}) in output
    assert output.count("session rejected: bad signature") == len(forged)
    assert not [each for each in [*cookies, *forged] if len(each) > 8 and each in output]


@pytest.mark.parametrize("key", [KEYS[0], os.urandom(24)], ids=["text", "bytes"])
def test_keys_of_the_instance_config_are_rotated_in_python(home: Home, key: str | bytes) -> None:
    config = home.path / "instance" / "config.py"
    config.parent.mkdir()
    config.write_text(f"SECRET_KEY = {key!r}\n")
    for step in ("stage", "promote"):
        config.write_text(home.output("key", step, APP_ENV="production"))
    values: dict[str, object] = {}
    exec(config.read_text(), values)  # noqa: S102
    assert values["SECRET_KEY_FALLBACKS"] == [key]
    output = home.flask("key", "show", APP_ENV="production")
    assert "from         the configuration files" in output
    assert ring.fingerprint(key) in output


def test_fallbacks_that_would_not_be_used_are_an_error(home: Home) -> None:
    config = home.path / "instance" / "config.py"
    config.parent.mkdir()
    config.write_text(f"SECRET_KEY_FALLBACKS = ['{KEYS[1]}']\n")
    assert "[fallbacks-place]" in home.flask("run", code=1, APP_ENV="production", SECRET_KEY=KEYS[0])


def test_the_age_of_a_key_is_its_file_s_unless_it_is_said(home: Home) -> None:
    assert ", 0 days" in home.flask("key", "show")
    home.env.write_text(f"{home.env.read_text()}SECRET_KEY_SINCE={datetime.now(UTC) - timedelta(days=50):%Y-%m-%d}\n")
    assert ", 50 days" in home.flask("key", "show")
    home.env.write_text(f"APP_ENV=development\nSECRET_KEY={KEYS[0]}\nSECRET_KEY_SINCE=yesterday\n")
    assert "[since-format]" in home.flask("key", "show", code=1)


@pytest.mark.parametrize(
    "elsewhere",
    [{"SECRET_KEY": "weak"}, {"SECRET_KEY": KEYS[0], "SECRET_KEY_NEXT": KEYS[0]}, {"SECRET_KEY_FILE": "/missing"}],
)
def test_revoke_leaves_env_alone_where_the_key_comes_from_elsewhere(home: Home, elsewhere: dict[str, str]) -> None:
    before = home.env.read_bytes()
    code = 1 if "SECRET_KEY_FILE" in elsewhere else 0
    home.flask("key", "revoke", "--yes", code=code, **elsewhere)
    assert home.env.read_bytes() == before


def test_a_next_key_left_behind_is_told_with_its_cure(home: Home) -> None:
    output = home.flask("run", code=1, APP_ENV="production", SECRET_KEY=KEYS[0], SECRET_KEY_NEXT=KEYS[0])
    assert "[key-repeated]" in output
    assert "unset SECRET_KEY_NEXT" in output


def test_a_key_with_a_comma_is_not_split(home: Home) -> None:
    before = f"APP_ENV=development\nSECRET_KEY={KEYS[0][:24]},{KEYS[1][:24]}\n".encode()
    home.env.write_bytes(before)
    assert "has a comma" in home.flask("key", "rotate", code=1)
    assert home.env.read_bytes() == before
    assert not list(home.path.glob(".env.lock"))


def test_an_older_development_key_is_refused_in_production_too(home: Home) -> None:
    key = key_of(home.path)
    home.flask("key", "rotate")
    assert "[key-development]" in home.flask("run", code=1, APP_ENV="production", SECRET_KEY=key)


@pytest.mark.parametrize("since", ["datetime.datetime(2026, 1, 1)", "datetime.date(2026, 1, 1)", "'9999-12-31'", "7"])
def test_any_date_is_understood_or_told(home: Home, since: str) -> None:
    config = home.path / "instance" / "config.py"
    config.parent.mkdir()
    keys = f"SECRET_KEY = '{KEYS[0]}'\nSECRET_KEY_FALLBACKS = ['{KEYS[1]}']\n"
    config.write_text(f"import datetime\n{keys}SECRET_KEY_SINCE = {since}\n")
    for command in (["show"], ["retire"]):
        output = home.flask("key", *command, code=None, APP_ENV="production")
        assert "Traceback" not in output


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_the_file_stays_its_owners(home: Home) -> None:
    os.chown(home.env, 65534, 65534)
    home.flask("key", "rotate")
    assert (home.env.stat().st_uid, home.env.stat().st_gid) == (65534, 65534)

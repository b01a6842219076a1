"""The signing key: what starts, what is refused and how, and what is never shown."""

import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask, session
from flask.cli import NoAppException, main
from flask.sessions import NullSession

CreateApp = Callable[..., Flask]
GOOD = secrets.token_hex(32)


@pytest.mark.parametrize(
    "key",
    [
        os.urandom(16),
        os.urandom(24),
        os.urandom(16).hex(),
        uuid.uuid4().hex,
        secrets.token_hex(16),
        secrets.token_urlsafe(16),
    ],
    ids=["bytes16", "bytes24", "hex16", "uuid4", "token_hex", "token_urlsafe"],
)
def test_keys_made_in_every_usual_way_are_accepted(create_app: CreateApp, project: Path, key: str | bytes) -> None:
    (project / "instance").mkdir()
    (project / "instance" / "config.py").write_text(f"SECRET_KEY = {key!r}\n")
    assert create_app("production").secret_key == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "key-empty"),
        ("changeme", "key-placeholder"),
        ("Not-So-Secret-but-long-enough-4711", "key-placeholder"),
        (os.urandom(12).hex(), "key-short"),
        ("12345678", "key-short"),
        ("0123456789abcdef" * 4, "key-patterned"),
        ("aB3-" * 12, "key-patterned"),
        (f" {GOOD}", "key-white-space"),
        ("clé-" + GOOD, "key-characters"),
    ],
)
@pytest.mark.parametrize("env", ["development", "production"])
def test_a_bad_key_does_not_start(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch, env: str, key: str, reason: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", key)
    with pytest.raises(NoAppException) as refusal:
        create_app(env)
    line = str(refusal.value)
    assert "SECRET_KEY in the environment" in line
    assert f"[{reason}]" in line
    assert 'flask key generate)"' in line
    assert "\n" not in line
    assert not key or key not in line


@pytest.mark.parametrize("value", [123456789012345678901234567890123456789, ["a"], True])
def test_a_key_is_text_or_bytes(create_app: CreateApp, project: Path, value: object) -> None:
    (project / "instance").mkdir()
    (project / "instance" / "config.py").write_text(f"SECRET_KEY = {value!r}\n")
    with pytest.raises(NoAppException, match=r"\[key-type\]"):
        create_app("production")


def test_flask_prefixed_keys_are_refused_since_flask_reads_them_as_json(
    create_app: CreateApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_SECRET_KEY", GOOD)
    with pytest.raises(NoAppException, match="unset FLASK_SECRET_KEY"):
        create_app("production")


def test_fallbacks_are_a_list_of_good_keys(
    create_app: CreateApp, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "instance").mkdir()
    config = project / "instance" / "config.py"
    config.write_text(f"SECRET_KEY = {GOOD!r}\nSECRET_KEY_FALLBACKS = {secrets.token_hex(32)!r}\n")
    with pytest.raises(NoAppException, match=r"\[fallbacks-type\]"):  # Flask would sign with each character
        create_app("production")
    config.unlink()
    monkeypatch.setenv("SECRET_KEY", GOOD)
    for value, reason in {"": "key-empty", "changeme": "key-placeholder", GOOD: "key-repeated"}.items():
        monkeypatch.setenv("SECRET_KEY_FALLBACKS", value)
        with pytest.raises(NoAppException, match=rf"\[{reason}\]"):
            create_app("production")
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f"{secrets.token_hex(32)},{secrets.token_urlsafe(16)}")
    assert len(create_app("production").config["SECRET_KEY_FALLBACKS"]) == 2


def test_production_reads_no_dotenv_and_refuses_its_key(
    create_app: CreateApp, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".env").write_text(f"APP_ENV=development\nSECRET_KEY={GOOD}\n")
    assert create_app("development").secret_key == GOOD
    with pytest.raises(NoAppException, match="SECRET_KEY is not set"):
        create_app("production")
    monkeypatch.setenv("SECRET_KEY", GOOD)
    with pytest.raises(NoAppException, match=r"\[key-development\]"):
        create_app("production")


def test_a_key_is_taken_verbatim(create_app: CreateApp, project: Path) -> None:
    key = "1e45$HOME${PATH}" + secrets.token_hex(16)
    (project / ".env").write_text(f"SECRET_KEY={key}\n")
    assert create_app("development").secret_key == key


def test_testing_signs_with_a_key_of_the_process(create_app: CreateApp, project: Path) -> None:
    (project / ".env").write_text(f"SECRET_KEY={GOOD}\n")
    app = create_app("testing")
    assert app.secret_key not in (None, GOOD)
    assert app.secret_key == create_app("testing").secret_key
    with app.test_request_context():
        assert not isinstance(session, NullSession)


def test_a_key_shows_as_its_fingerprint(create_app: CreateApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", GOOD)
    app = create_app("development")
    assert GOOD not in repr(app.config)
    page = app.test_client().get("/").get_data(as_text=True)
    assert GOOD not in page
    assert app.config["SECRET_KEY"].fingerprint in page


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """What `flask ARGUMENTS` exits with and prints, both streams together."""
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
    monkeypatch.setattr("sys.argv", ["flask", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr()
    return end.value.code, output.out + output.err


def test_a_clone_is_told_about_key_init_which_is_safe_to_run_twice(
    create_app: CreateApp,
    keys: ModuleType,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "false")  # put back after the test: the command sets it
    (project / ".env.example").write_text("# ours\nAPP_ENV=development\nSECRET_KEY=\nOTHER=1\n")
    with pytest.raises(NoAppException, match=r"There is no \.env in .*`.*flask key init` makes one"):
        create_app()
    code, output = run(monkeypatch, capsys, "key", "init")
    assert code == 0
    written = (project / ".env").read_text()
    app = create_app()
    assert written == f"# ours\nAPP_ENV=development\nSECRET_KEY={app.secret_key!s}\nOTHER=1\n"
    assert str(app.secret_key) not in output
    assert os.name != "posix" or (project / ".env").stat().st_mode & 0o777 == 0o600
    code, output = run(monkeypatch, capsys, "key", "init")
    assert code == 0
    assert (project / ".env").read_text() == written
    code, output = run(monkeypatch, capsys, "key", "show")
    assert app.config["SECRET_KEY"].fingerprint in output
    assert str(app.secret_key) not in output

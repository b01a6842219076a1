"""Test suites of others, from the package index, before and after the library. `make test-all` runs them."""

import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from index import by_index, environment
from support import LIBRARY, clean_environ

FLASK = ("flask==3.1.3", "0ef0e52b8a9cd932855379197dd8f94047b359ca0a78695144304cb45f87c9eb")
APIFLASK = ("apiflask==3.0.2", "106c3011da9f7fff86e33ea47294f84b4d0f7c121d67af6aac387363af997443")
LOGIN = ("flask-login==0.6.3", "5e23d14a607ef12806c699590b89d0f0e0d67baeec599d75947bf9c147330333")
WTF = ("flask-wtf==1.3.0", "61d5dabc50c3df885c297dcbd80810443a5d632106c8a69cab8ce740f0cdd7cc")
SECURITY = ("flask-security==5.9.2", "215b1f978c203c646cfa87667e4a193b63aaf51a18403c49eccc9ff1b1bfad8f")
NEEDED = (
    *("flask[async]==3.1.3", "python-dotenv", "pytest", "apiflask==3.0.2", "openapi-spec-validator", "pyyaml"),
    *("flask-login==0.6.3", "semantic-version", "flask-wtf==1.3.0", "email-validator", "flask-babel"),
    *("flask-reuploaded", "flask-security==5.9.2", "flask-mail", "flask-sqlalchemy", "flask-sqlalchemy-lite"),
    *("argon2-cffi", "authlib", "bcrypt", "cryptography", "freezegun", "mongoengine", "mongomock", "nh3", "peewee"),
    *("phonenumberslite", "qrcode", "requests", "sqlalchemy<2.1", "sqlalchemy-utils", "webauthn", "zxcvbn"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in which the suites run."""
    return environment(tmp_path_factory.mktemp("suites"), "pip", *NEEDED)


def sources(place: Path, wanted: tuple[str, str]) -> Path:
    """The folder of a source distribution, pinned by its version and its hash."""
    requirement, digest = wanted
    folder = place / requirement.replace("==", "-")
    if not folder.exists():
        pinned = place / f"{folder.name}.txt"
        pinned.write_text(f"{requirement} --hash=sha256:{digest}\n")
        pip = [place / "venv/bin/python", "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        by_index([*pip, "--no-binary", ":all:", "--dest", folder, "-r", pinned], place)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as release:
            release.extractall(folder, filter="data")
    (suite,) = [path for path in folder.iterdir() if path.is_dir()]
    return suite


def failed(place: Path, suite: Path, way: str, *options: str, tests: Sequence[str] = ("",)) -> tuple[int, set[str]]:
    """How many tests of a suite pass, and which do not."""
    paths = (LIBRARY.parent, suite, Path(__file__).parent)
    env = clean_environ(PYTHONPATH=":".join(map(str, paths)), PYTHONDONTWRITEBYTECODE="1", ADOPT=way)
    command = [place / "venv/bin/python", "-m", "pytest", "-q", "-rfE", "-o", "addopts=", "-p", "no:cacheprovider"]
    words = [str(word) for word in (*command, *options, *(suite / "tests" / name for name in tests))]
    done = subprocess.run(words, cwd=suite, env=env, capture_output=True, text=True, timeout=300, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout + done.stderr
    return int(passed[1]), set(re.findall(r"^(?:FAILED|ERROR) \S*?(tests/\S+)", done.stdout, re.MULTILINE))


def before_and_observed(place: Path, suite: Path) -> tuple[int, set[str]]:
    """What `failed` gives without the library: the same with `observe` in each application."""
    before = failed(place, suite, "", "-p", "adopt")
    assert failed(place, suite, "observe", "-p", "adopt") == before
    return before


# It expects create_app() without a test's configuration to start with SECRET_KEY="dev".
NOT_OF_THE_TUTORIAL = {"tests/test_factory.py::test_config"}


@pytest.mark.parametrize("way", ["", "observe", "init_app"])
def test_the_tutorial(place: Path, way: str) -> None:
    """One line in its factory, as an owner writes it."""
    suite = sources(place, FLASK) / "examples" / "tutorial"
    factory = suite / "flaskr" / "__init__.py"
    original = factory.read_text()
    here = "    # ensure the instance folder exists"
    assert here in original
    call = f"    import flask_secure\n\n    flask_secure.{way}(app)\n" if way else ""
    factory.write_text(original.replace(here, call + here))
    try:
        passed, not_passed = failed(place, suite, "")
    finally:
        factory.write_text(original)
    expected = (23, NOT_OF_THE_TUTORIAL) if way == "init_app" else (24, set())
    assert (passed, not_passed) == expected


@pytest.mark.parametrize("way", ["", "observe", "init_app"])
def test_the_javascript_example(place: Path, way: str) -> None:
    suite = sources(place, FLASK) / "examples" / "javascript"
    assert failed(place, suite, way, "-p", "adopt") == (8, set())


def test_apiflask(place: Path) -> None:
    suite = sources(place, APIFLASK)
    before = before_and_observed(place, suite)
    assert before[0] > 300
    # test_error_callback needs an application that is not testing, which turns exceptions into responses.
    testing = failed(place, suite, "testing", "-p", "adopt")
    assert testing[1] - before[1] == {"tests/test_app.py::test_error_callback"}
    assert failed(place, suite, "init_app", "-p", "adopt") == testing


def test_flask_login(place: Path) -> None:
    suite = sources(place, LOGIN)
    before = before_and_observed(place, suite)
    assert (before[0] > 100, before[1]) == (True, set())
    # These two need an application that is not testing, which turns exceptions into responses.
    not_testing = {
        "tests/test_login.py::LoginTestCase::test_remember_me_with_invalid_custom_duration_returns_500_resp",
        "tests/test_login.py::LoginTestCase::test_remember_me_with_invalid_duration_returns_500_response",
    }
    testing = (before[0] - 2, not_testing)
    assert failed(place, suite, "testing", "-p", "adopt") == testing
    assert failed(place, suite, "init_app", "-p", "adopt") == testing


def test_flask_wtf(place: Path) -> None:
    suite = sources(place, WTF)
    before = before_and_observed(place, suite)
    assert (before[0] > 80, before[1]) == (True, set())
    # It takes the key out later and expects an error: the ring is in WTF_CSRF_SECRET_KEY too.
    without_key = {"tests/test_csrf_form.py::test_csrf_requires_secret_key"}
    assert failed(place, suite, "init_app", "-p", "adopt") == (before[0] - 1, without_key)


# A third of its tests: all of them, which docs/adoption.md has, take ten minutes in three ways.
OF_SECURITY = [
    *("test_basic.py", "test_csrf.py", "test_tokens.py", "test_changeable.py", "test_recoverable.py"),
    *("test_oauthglue.py", "test_two_factor.py"),
]


@pytest.mark.parametrize("way", ["", "observe", "init_app"])
def test_flask_security(place: Path, way: str) -> None:
    suite = sources(place, SECURITY)
    passed, not_passed = failed(place, suite, way, "-p", "adopt", tests=OF_SECURITY)
    assert passed > 250
    # They assert that a response made from a session has no Cache-Control; it is no-store.
    no_store = ("test_no_cache_control", "test_cache_control_not_on_app_endpoints", "test_gen_mismatch")
    no_store += ("test_refresh_cookie",)
    names = {re.split(r"::|\[", test)[1] for test in not_passed}
    assert names == (set(no_store) if way == "init_app" else set())

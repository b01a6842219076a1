"""`flask key` killed with SIGKILL at every operation on a file: no key is lost, and the next command goes on."""

import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import LIBRARY, clean_environ

from flask_secure.ring import fingerprint

pytestmark = pytest.mark.long

KEYS = [secrets.token_hex(32) for _ in range(3)]

# Runs `flask key ARGUMENTS`, and kills itself at one of the operations that Python reports to audit hooks.
KILLED = """
import os, signal, sys
at, arguments = int(sys.argv[1]), sys.argv[2:]
OPERATIONS = ("open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown",
              "os.truncate", "shutil.copyfile", "shutil.copymode", "shutil.chown", "shutil.rmtree", "tempfile.mkdtemp")
folder, seen = os.path.realpath(os.getcwd()), 0

def kill(event, parameters):
    global seen
    if event in OPERATIONS and folder in os.path.realpath(str(parameters[0])):
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

from flask_secure.cli import main
sys.addaudithook(kill)
main(["key", *arguments])
"""


class Killed:
    """A folder with keys, in which commands are killed."""

    def __init__(self, path: Path, environ: dict[str, str]) -> None:
        self.path = path
        self.environ = clean_environ(PYTHONPATH=str(LIBRARY.parent), PYTHONDONTWRITEBYTECODE="1", **environ)

    def run(self, at: int, *arguments: str) -> int:
        """The exit status of a command that is killed at the operation `at`; 0 for one that has fewer."""
        command = [sys.executable, "-c", KILLED, str(at), *arguments]
        return subprocess.run(command, cwd=self.path, env=self.environ, capture_output=True, timeout=60).returncode

    def shown(self) -> set[str]:
        """The fingerprints of the keys with which a service would start now."""
        command = [sys.executable, "-m", "flask_secure", "key", "show"]
        result = subprocess.run(command, cwd=self.path, env=self.environ, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return {line.split()[1] for line in result.stdout.splitlines() if line.startswith(("current", "next", "prev"))}


def prepared(tmp_path: Path, kind: str, staged: bool) -> Killed:
    tmp_path.mkdir()
    (tmp_path / "pyproject.toml").touch()
    if kind == ".env":
        lines = ["APP_ENV=development", f"SECRET_KEY={KEYS[0]}", f"SECRET_KEY_FALLBACKS={KEYS[1]}"]
        lines += [f"SECRET_KEY_NEXT={KEYS[2]}"] * staged
        (tmp_path / ".env").write_text("\n".join(lines) + "\n")
        return Killed(tmp_path, {})
    (tmp_path / "secret_key").write_text(KEYS[0])
    (tmp_path / "secret_key_fallbacks").write_text(KEYS[1])
    if staged:
        (tmp_path / "secret_key_next").write_text(KEYS[2])
    hosts = {"APP_ENV": "production", "TRUSTED_HOSTS": "localhost", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    return Killed(tmp_path, hosts)


@pytest.mark.parametrize("kind", [".env", "files"])
@pytest.mark.parametrize(("command", "staged"), [("stage", False), ("promote", True)])
def test_a_killed_command_loses_no_key(tmp_path: Path, kind: str, command: str, staged: bool) -> None:
    before = {fingerprint(key) for key in KEYS[: 3 if staged else 2]}
    at, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        at += 1
        place = prepared(tmp_path / f"{at}", kind, staged)
        status = place.run(at, command)
        assert status in (0, -signal.SIGKILL)
        assert before <= place.shown()
        done = place.run(0, command)  # once more: it goes on, or says that it is done
        assert done in (0, 1)
        assert before <= place.shown()
        assert not [*place.path.glob(".env.draft-*")]
    assert at > 5, "it was killed at a few operations at least"

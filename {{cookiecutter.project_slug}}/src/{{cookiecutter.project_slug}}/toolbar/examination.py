"""The doctor's findings for the toolbar: of `flask doctor`, run beside the server once it serves."""

import json
import os
import subprocess
import sys
import threading
from typing import Any

from ..keys.ring import mint
from ..settings import FROM_DOTENV, ROOT

# The server's own, which the doctor would take for settings.
SERVERS_OWN = ("WERKZEUG_", "FLASK_DEBUG", "FLASK_RUN_FROM_CLI", FROM_DOTENV)


class Examination:
    """What the doctor says of development and of production, as soon as it has said it."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.findings: dict[str, list[dict[str, str]]] = {}
        self.started = threading.Lock()
        if os.environ.get("WERKZEUG_RUN_MAIN") == "true":  # the process that serves
            self.start()

    @property
    def is_over(self) -> bool:
        """Whether it has said all."""
        return "production" in self.findings

    def start(self) -> None:
        """Begin, if that has not been done."""
        if self.started.acquire(blocking=False):
            threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Ask the doctor, of production as it would be with a key and a host that are its own."""
        self.findings["development"] = self.ask("development", {})
        self.findings["production"] = self.ask("production", {"SECRET_KEY": str(mint()), "TRUSTED_HOSTS": "localhost"})

    def ask(self, env: str, given: dict[str, str]) -> list[dict[str, str]]:
        """The findings of `flask doctor --env ENV`."""
        from_dotenv = json.loads(os.environ.get(FROM_DOTENV, "{}"))
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(SERVERS_OWN) and name not in from_dotenv
        }
        command = [sys.executable, "-m", "flask", "--app", self.package, "doctor", "--json", "--env", env]
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env={**environ, **given}, capture_output=True, text=True, check=False
        )
        try:
            findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        except ValueError:
            cure = f"flask doctor --env {env}"
            return [{"id": "doctor", "level": "error", "problem": "The doctor ended with an error", "cure": cure}]
        return findings

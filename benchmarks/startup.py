"""Starting the service in production, against starting a Flask application with one route."""

import os
import secrets
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from measure import compare, cpu_seconds, finish

TEMPLATE = Path(__file__).resolve().parents[1]
BARE = """
from flask import Flask

app = Flask("bare")


@app.get("/")
def index():
    return "hello"
"""
SERVICE = """
from my_flask_service import create_app

app = create_app("production")
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        subprocess.run(
            [Path(sys.executable).with_name("cookiecutter"), "--no-input", "--default-config", TEMPLATE],
            cwd=work,
            check=True,
        )
        project = work / "my_flask_service"
        for command in (
            ["uv", "venv", "--quiet", project / ".venv"],
            ["uv", "pip", "install", "--quiet", "--python", project / ".venv", project],
        ):
            subprocess.run(command, check=True)
        python = project / ".venv" / "bin" / "python"
        env = {**os.environ, "SECRET_KEY": secrets.token_hex(32), "TRUSTED_HOSTS": "localhost"}
        run = partial(cpu_seconds, cwd=work, env=env)
        finish(
            compare(
                "start-up",
                lambda: run([str(python), "-c", SERVICE]),
                lambda: run([str(python), "-c", BARE]),
                limit=1.15,
                rounds=41,
            )
        )

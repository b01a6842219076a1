"""Starting the service in production, against starting a Flask application with one route."""

import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measure import compare, cpu_seconds, finish
from support import SLUG, bake, clean_environ, production, run

BARE = """
from flask import Flask

app = Flask("bare")


@app.get("/")
def index():
    return "hello"
"""
SERVICE = f"from {SLUG} import create_app; app = create_app()"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        project = bake(work / "project")
        run("uv", "venv", "--quiet", "--python", sys.executable, work / "venv", cwd=work)
        run("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", work / "venv", project, cwd=work)
        start = partial(cpu_seconds, cwd=work, env=clean_environ(**production()))
        python = work / "venv" / "bin" / "python"
        finish(
            compare("start-up", lambda: start([python, "-c", SERVICE]), lambda: start([python, "-c", BARE]), rounds=41)
        )

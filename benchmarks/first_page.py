"""From `cookiecutter --no-input` to the first answer of the service, by the README's commands, with warm caches."""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measure import finish
from support import SLUG, bake_command, clean_environ, fetch, free_port, run, serve

LIMIT = 10


def first_page(work: Path) -> float:
    """Seconds from nothing to a 200."""
    project, port = work / SLUG, free_port()
    shutil.rmtree(project, ignore_errors=True)
    started = time.perf_counter()
    run(*bake_command("--no-input"), cwd=work)
    with serve(["uv", "run", "flask", "run", "--port", str(port)], port, project, clean_environ()) as address:
        if fetch(address)[0] != 200:
            sys.exit("the first page is no 200")
        return time.perf_counter() - started


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        seconds = statistics.median([first_page(Path(name)) for _ in range(6)][1:])
    print(f"first page: {seconds:.1f} s (at most {LIMIT} s)")
    finish(seconds <= LIMIT)

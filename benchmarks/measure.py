"""CPU time of whole commands, told as a ratio of two that ran in turn."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flask import Flask


def cpu_seconds(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """User and system seconds that `command` and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def compare(name: str, subject: Callable[[], float], base: Callable[[], float], limit: float, rounds: int = 21) -> bool:
    """Print the ratio of `subject` to `base` in seconds, run in turn; whether it is within `limit`."""
    pairs = [(subject(), base()) for _ in range(rounds + 1)][1:]  # the first round warms the caches
    ratio = statistics.median(first / second for first, second in pairs)
    ours, theirs = (statistics.median(each) * 1000 for each in zip(*pairs, strict=True))
    verdict = "ok" if ratio <= limit else "TOO SLOW"
    print(f"{name}: {ratio:.3f}x (at most {limit}x, {verdict}); {ours:.0f} ms against {theirs:.0f} ms of CPU time")
    return ratio <= limit


def request_seconds(app: Flask, environ: Mapping[str, object], requests: int) -> float:
    """CPU seconds of one request to `app`, without a server, of that many."""
    started = time.process_time()
    for _ in range(requests):
        b"".join(app.wsgi_app(dict(environ), lambda *_: lambda _: None))
    return (time.process_time() - started) / requests


def finish(*good: bool) -> None:
    """End with status 1 when a limit was passed."""
    sys.exit(0 if all(good) else 1)

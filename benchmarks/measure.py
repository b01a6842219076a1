"""CPU time, told as a ratio to something that ran in turn with it, and the limit of that ratio."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flask import Flask

sys.dont_write_bytecode = True  # of the template, which is copied as it lies


def cpu_seconds(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """User and system seconds that `command` and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def request_seconds(app: Flask, environ: Mapping[str, object], requests: int) -> float:
    """CPU seconds of one request to `app`, without a server, of that many."""
    started = time.process_time()
    for _ in range(requests):
        b"".join(app.wsgi_app(dict(environ), lambda *_: lambda _: None))
    return (time.process_time() - started) / requests


def compare(
    name: str, subject: Callable[[], float], base: Callable[[], float], limit: float | None = None, rounds: int = 31
) -> bool:
    """Print the ratio of `subject` to `base` in seconds, the median of rounds in turn; whether it is within `limit`."""
    pairs = [(subject(), base()) for _ in range(rounds + 1)][1:]  # the first round warms the caches
    ratio = statistics.median(first / second for first, second in pairs)
    ours, theirs = (statistics.median(each) * 1e6 for each in zip(*pairs, strict=True))
    unit, scale = ("ms", 1000) if theirs > 10_000 else ("us", 1)
    figures = f"{ours / scale:.0f} {unit} against {theirs / scale:.0f} {unit} of CPU time"
    return judged(name, ratio, figures, limit is None or ratio <= limit, limit and f"at most {limit:.2f}x")


def judged(name: str, ratio: float, figures: str, good: bool, limit: str | None) -> bool:
    """Print a ratio with its limit and the verdict, which is also returned."""
    verdict = f"{limit}: {'ok' if good else 'MISSED'}" if limit else "no limit"
    print(f"{name}: {ratio:.3f}x ({verdict}); {figures}", flush=True)
    return good


def finish(*good: bool) -> None:
    """Exit with 1 when a limit was missed."""
    sys.exit(0 if all(good) else 1)

"""Where violations go: lines at a developer's terminal, or counts in production's log.

Both are bounded, since anyone can send reports.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock, Timer

from .advice import Violation

log = logging.getLogger("flask_secure.reports")

MOST_KEPT = 200
LINES_A_SECOND = 10
MOST_KINDS = 50
MINUTE = 60.0  # seconds
OTHERS = "other kinds"


class Lines:
    """Each new violation is a line at once, ten a second at most; 200 are kept for the toolbar.

    `describe` gives the text of a violation, with what to do about it and the others.
    """

    def __init__(self, describe: Callable[[Violation, list[Violation]], str]) -> None:
        self.describe = describe
        self.kept: dict[Violation, int] = {}  # how often each was reported
        self.lock = Lock()
        self.second = 0.0  # when the running second began
        self.printed = 0  # lines in it

    def add(self, violation: Violation) -> None:
        """Count a violation, and print one that is new."""
        with self.lock:
            if violation in self.kept:
                self.kept[violation] += 1
                return
            if not self.has_room_for(violation):
                return
            self.kept[violation] = 1
            printed = self.count_line()
        if printed <= LINES_A_SECOND:
            more = " (further ones of this second: in the toolbar)"
            text = self.describe(violation, self.violations())
            log.warning("%s%s", text, more if printed == LINES_A_SECOND else "")

    def has_room_for(self, violation: Violation) -> bool:
        """Whether it is kept: a page's own report takes the place of one that may be forged."""
        if len(self.kept) < MOST_KEPT:
            return True
        if not violation.is_own:
            return False
        for each in self.kept:
            if not each.is_own:
                del self.kept[each]
                return True
        return False

    def count_line(self) -> int:
        """How many lines this second has, with one more."""
        now = time.monotonic()
        if now - self.second >= 1:
            self.second, self.printed = now, 0
        self.printed += 1
        return self.printed

    def violations(self) -> list[Violation]:
        """What is kept, in the order in which it was reported."""
        with self.lock:
            return list(self.kept)


class Counts:
    """One line a minute of how often each kind was reported, 50 kinds at most.

    Each process of the server counts its own. `after` is how long a line is collected, in seconds.
    """

    def __init__(self, after: float = MINUTE) -> None:
        self.after = after
        self.counts: Counter[str] = Counter()
        self.lock = Lock()

    def add(self, violation: Violation) -> None:
        """Count a violation; the first one begins a minute."""
        kind = str(violation)
        with self.lock:
            if not self.counts:
                timer = Timer(self.after, self.write)
                timer.daemon = True  # it does not keep a worker from stopping
                timer.start()
            if kind not in self.counts and len(self.counts) >= MOST_KINDS:
                kind = OTHERS
            self.counts[kind] += 1

    def write(self) -> None:
        """Log the counts, and begin anew."""
        with self.lock:
            counts, self.counts = self.counts, Counter()
        kinds = "; ".join(f"{kind} ({count})" for kind, count in counts.most_common())
        log.warning("violations of the policy within %.0f seconds: %s", self.after, kinds)


Store = Lines | Counts

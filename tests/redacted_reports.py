"""A pytest plugin: what a failed test prints has no key, whichever variable or message holds one."""

import re
from collections.abc import Generator

import pytest

# A whole key, or what pytest leaves of one where it shortens a long value.
KEY = re.compile(r"[0-9a-f]{32,}")


def redact(text: str) -> str:
    return KEY.sub("[redacted]", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # pytest's own object stays where it holds no key: the summary's lines are made of it.
    if KEY.search(str(report.longrepr)):
        report.longrepr = redact(str(report.longrepr))
    report.sections = [(title, redact(text)) for title, text in report.sections]
    return report

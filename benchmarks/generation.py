"""Generating a service, against generating one file from a template with two empty hooks."""

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from measure import compare, cpu_seconds, finish

TEMPLATE = Path(__file__).resolve().parents[1]


def one_file_template(folder: Path) -> Path:
    """The least that a template with hooks can be."""
    (folder / "{{cookiecutter.project_slug}}").mkdir(parents=True)
    (folder / "{{cookiecutter.project_slug}}" / "README.md").write_text("# {{ cookiecutter.project_slug }}\n")
    (folder / "cookiecutter.json").write_text(json.dumps({"project_slug": "my_flask_service"}))
    (folder / "hooks").mkdir()
    for hook in ("pre_gen_project.py", "post_gen_project.py"):
        (folder / "hooks" / hook).write_text("")
    return folder


def generate(template: Path, work: Path) -> float:
    output = work / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    return cpu_seconds([cookiecutter, "--no-input", "--default-config", template], cwd=output)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        base = one_file_template(work / "base")
        finish(compare("generation", partial(generate, TEMPLATE, work), partial(generate, base, work)))

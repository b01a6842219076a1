"""Refuses a project_slug that could not be the name of a Python package, before anything is written."""

import json
import keyword
import os
import re
import subprocess
import sys

# Importable in a generated project, or a distribution in it: a package of that name would hide the other.
TAKEN = set(
    "_pytest ast_serialize blinker click colorama conftest dotenv flask flask_debugtoolbar gunicorn"
    " iniconfig itsdangerous jinja2 librt markupsafe mypy mypy_extensions mypyc packaging pathspec pip pluggy"
    " py pygments pytest python_dotenv ruff sitecustomize test typing_extensions usercustomize uv werkzeug"
    # Standard modules of only some Pythons from 3.11 on.
    " aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr imp lib2to3"
    " mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib".split()
) | {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}  # Windows' devices


def taken(slug):
    return keyword.iskeyword(slug) or slug in TAKEN or slug in sys.stdlib_module_names


def suggestion(slug):
    """A slug close to `slug` that has no problem."""
    near = re.sub(r"[^a-z0-9]+", "_", slug.lower()).strip("_") or "my_service"
    near = near if near[0].isalpha() else f"service_{near}"
    return f"{near}_service" if taken(near) else near


def problem(slug):
    """What is wrong with `slug` (text), as one line that names a slug that would do; None when nothing is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        why = "is not made of lower-case letters, digits and underscores, a letter first"
    elif taken(slug):
        why = "is the name of something that Python or the service imports"
    else:
        return None
    return f"project_slug {slug!a} {why}; {suggestion(slug)!r} would do."


# Waits until cookiecutter has removed the project's folder, which it does after the hook, then removes what is empty.
SWEEPER = """
import os, sys, time
print(flush=True)
project, *parents = sys.argv[1:]
for _ in range(20_000):
    if not os.path.exists(project):
        break
    time.sleep(0.0001)
for path in parents:
    try:
        os.rmdir(path)
    except OSError:
        pass
"""


def sweep_parents(slug, project, output_dir):
    """Remove the folders that cookiecutter makes above the project for a slug like a/b, and leaves behind."""
    steps = re.split(r"[/\\]", slug)
    above = {os.path.abspath(os.path.join(output_dir, *steps[:n])) for n in range(1, len(steps))}
    above = [path for path in above if not f"{output_dir}{os.sep}".startswith(f"{path}{os.sep}")]
    if above:
        command = [sys.executable, "-ISc", SWEEPER, project, *sorted(above, key=len, reverse=True)]
        sweeper = subprocess.Popen(
            command, cwd=output_dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        sweeper.stdout.readline()  # it is running


if __name__ == "__main__":
    answers = json.loads(r"""
{{ cookiecutter | tojson }}
""")
    if line := problem(answers["project_slug"]):
        sweep_parents(answers["project_slug"], os.getcwd(), answers["_output_dir"])
        sys.exit(line)

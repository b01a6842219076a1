"""Refuses a project_slug that could not be the name of a Python package, before anything is written."""

import keyword
import os
import sys

# `json`, `re` and `subprocess` are imported where something is wrong: they would take most of this hook's time.

# Importable in a generated project, or a distribution in it: a package of that name would hide the other.
INSTALLED = """
    _pytest ast_serialize blinker click colorama conftest dotenv flask flask_debugtoolbar gunicorn
    iniconfig itsdangerous jinja2 librt markupsafe mypy mypy_extensions mypyc packaging pathspec pip pluggy
    py pygments pytest python_dotenv ruff sitecustomize test tests typing_extensions usercustomize uv werkzeug
"""
# Standard modules of only some Pythons from 3.11 on.
STANDARD = """
    aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr imp lib2to3
    mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib
"""
# What Windows can't call a folder.
DEVICES = """
    aux con nul prn com0 com1 com2 com3 com4 com5 com6 com7 com8 com9
    lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9
"""
TAKEN = {*INSTALLED.split(), *STANDARD.split(), *DEVICES.split(), *sys.stdlib_module_names, *keyword.kwlist}


def suggestion(slug):
    """A slug close to `slug` that has no problem."""
    import re
    import unicodedata

    slug = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode()
    near = re.sub(r"[^a-z0-9]+", "_", slug.lower()).strip("_") or "my_service"
    near = near if near[0].isalpha() else f"service_{near}"
    return f"{near}_service" if near in TAKEN else near


def problem(slug):
    """What is wrong with `slug` (text), as one line that names a slug that would do; None when nothing is."""
    if not (slug.isascii() and slug.isidentifier() and slug == slug.lower() and slug[0] != "_"):
        why = "is not made of lower-case letters, digits and underscores, a letter first"
    elif slug in TAKEN:
        why = "is taken, by Python, by what the service imports or by a system"
    else:
        return None
    return f"project_slug {slug!r} {why}; {suggestion(slug)!r} would do."


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
    import re
    import subprocess

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
    slug = r"""
{{ cookiecutter.project_slug | tojson }}
""".strip()
    if problem(slug[1:-1]):  # a slug without a problem stands in JSON as it is
        import json

        slug = json.loads(slug)
        output_dir = json.loads(r"""
{{ cookiecutter._output_dir | default("", true) | tojson }}
""")
        if output_dir:  # cruft does not say it
            sweep_parents(slug, os.getcwd(), output_dir)
        sys.exit(problem(slug))

"""Gives the new project its own secret key, in a file that git ignores, and says what to do next."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path


def mint(project):
    """Write `project`/.env from .env.example with a fresh key; True when written, False when there was one."""
    text = (project / ".env.example").read_text(encoding="utf-8")
    line = f"SECRET_KEY={secrets.token_hex(32)}"
    text, filled = re.subn(r"(?m)^SECRET_KEY=.*$", line, text, count=1)
    try:  # Created, private and never overwritten, in one call.
        descriptor = os.open(project / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text if filled else f"{text}\n{line}\n")
    except OSError:
        os.unlink(project / ".env")
        raise
    return True


def git(project, *arguments):
    # GIT_DIR and the like, as a git hook sets them, speak of another repository.
    environ = {name: value for name, value in os.environ.items() if not re.match("GIT_(DIR|WORK|INDEX)", name)}
    return subprocess.run(["git", *arguments], cwd=project, env=environ, capture_output=True, text=True, errors="replace")


def problem_with_git(project):
    """Make `project` a repository unless it is in one; None, or one line that says why git might commit the key."""
    if shutil.which("git") is None:
        return None
    if git(project, "rev-parse", "--is-inside-work-tree").stdout.strip() != "true":
        git(project, "init", "--quiet")
    check = git(project, "check-ignore", "--quiet", ".env")
    if check.returncode:
        why = check.stderr.strip() or "it is tracked, or a pattern excepts it"
        return f"git does not ignore {project / '.env'} ({why}): git rm --cached .env; echo .env >> .gitignore"
    return None


if __name__ == "__main__":
    answers = json.loads(r"""
{{ cookiecutter | tojson }}
""")
    here = Path.cwd()
    try:
        minted = mint(here)
    except OSError as error:
        sys.exit(f"No key was written to {here / '.env'}: {error.strerror}.")
    if line := problem_with_git(here):
        sys.exit(line)
    folder = here.name if str(here.parent) == os.environ.get("PWD") else here
    print(f"{answers['project_slug']} is ready; .env {'holds a new key of its own' if minted else 'kept its key'}. Next:")
    print(f'  cd "{folder}"' if " " in str(folder) else f"  cd {folder}")
    print("  uv run flask run        # without uv: see README.md")

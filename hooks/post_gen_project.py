"""Gives the new project its own secret key, in a file that git ignores, and says what to do next."""

import os
import secrets
import sys

# What an answer leaves of files that stand for one another: each is (answer, its file, the name it gets).
KEY_STORE = "{{ cookiecutter.key_store }}"
CHOICES = [(KEY_STORE == "aws", "store_aws.py", "store.py")]


def settle(keys):
    """Put the chosen files of the folder `keys` in their places, and remove the others."""
    for chosen, file, name in CHOICES:
        if chosen:
            os.replace(os.path.join(keys, file), os.path.join(keys, name))
        else:
            os.unlink(os.path.join(keys, file))


def mint(project):
    """Write `project`/.env from .env.example with a fresh key; True when written, False when there was one."""
    path = os.path.join(project, ".env")
    with open(f"{path}.example", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("SECRET_KEY=")]
    lines.append(f"SECRET_KEY={secrets.token_hex(32)}\n")
    try:  # Created, private and never overwritten, in one call.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except OSError:
        os.unlink(path)
        raise
    return True


def git(project, *arguments):
    """Run git in `project`; its exit status, or None where there is no git. What it has to say is on the screen."""
    command = ["git", "-C", str(project), *arguments]
    # As a git hook sets them, these speak of another repository.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environ = {name: value for name, value in os.environ.items() if name not in elsewhere}
    try:
        if hasattr(os, "posix_spawnp"):  # as subprocess does, whose import alone takes a fifth of this hook's time
            _, status = os.waitpid(os.posix_spawnp("git", command, environ), 0)
            return os.waitstatus_to_exitcode(status)
        import subprocess

        return subprocess.run(command, env=environ).returncode
    except FileNotFoundError:
        return None


def in_a_repository(folder):
    parent = os.path.dirname(folder)
    return os.path.exists(os.path.join(folder, ".git")) or (parent != folder and in_a_repository(parent))


def problem_with_git(project):
    """Make `project` a repository unless it is in one; None, or one line that says why git might commit the key."""
    if not in_a_repository(project):
        git(project, "init", "--quiet")
    if git(project, "check-ignore", "--quiet", ".env") in (0, None):
        return None
    return f"git does not ignore .env in {project}: cd {project}; git rm --cached .env; echo .env >> .gitignore"


if __name__ == "__main__":
    here = os.getcwd()
    parent, name = os.path.split(here)
    settle(os.path.join(here, "src", name, "keys"))
    try:
        minted = mint(here)
    except OSError as error:
        sys.exit(f"No key was written to {os.path.join(here, '.env')}: {error.strerror}.")
    if line := problem_with_git(here):
        sys.exit(line)
    folder = name if parent == os.environ.get("PWD") else here
    print(f"{name} is ready; .env {'holds a key of its own' if minted else 'is as it was'}. Next:")
    print(f'  cd "{folder}"' if " " in folder else f"  cd {folder}")
    print("  uv run flask run        # without uv: see README.md")

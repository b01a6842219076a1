"""Rejects a blank name, and a project_slug that could not name a Python package.

It runs before anything is written.
"""

import json
import keyword
import os
import re
import sys
import unicodedata

# Importable in a generated project, a distribution in it, or one that a service is likely to add:
# a package of that name would hide the other, or could not be installed beside it.
INSTALLED = """
    _pytest ast_serialize blinker click colorama conftest dotenv flask flask_debugtoolbar
    flask_secure gunicorn iniconfig itsdangerous jinja2 librt markupsafe mypy mypy_extensions
    mypyc packaging pathspec pip pluggy py pygments pytest python_dotenv ruff sitecustomize test
    tests typing_extensions usercustomize uv werkzeug aiohttp alembic anyio argon2 attr attrs
    authlib babel bcrypt boto3 botocore celery certifi cryptography django fastapi flask_alembic
    flask_babel flask_caching flask_cors flask_limiter flask_login flask_mail flask_migrate
    flask_restx flask_smorest flask_sqlalchemy flask_sqlalchemy_lite flask_talisman flask_wtf
    gevent greenlet granian httpx hypothesis jwt kombu lxml marshmallow moto mongoengine numpy
    openai pandas peewee pil pillow playwright prometheus_client psycopg psycopg2 pydantic pyjwt
    pymongo pymysql redis requests rq sentry_sdk setuptools six sqlalchemy sqlmodel starlette
    stripe urllib3 uvicorn uwsgi waitress wheel whitenoise wtforms yaml
"""
# Standard modules of only some Pythons from 3.11 on.
STANDARD = """
    aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils
    imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau
    telnetlib uu xdrlib
"""
# What Windows can't call a folder.
DEVICES = ["aux", "con", "nul", "prn"]
DEVICES.extend(f"com{number}" for number in range(10))
DEVICES.extend(f"lpt{number}" for number in range(10))
TAKEN = {*INSTALLED.split(), *STANDARD.split(), *DEVICES, *sys.stdlib_module_names, *keyword.kwlist}


def suggestion(slug):
    """A slug close to `slug` that has no problem."""
    slug = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode()
    near = re.sub(r"[^a-z0-9]+", "_", slug.lower()).strip("_") or "my_service"
    near = near if near[0].isalpha() else f"service_{near}"
    return f"{near}_service" if near in TAKEN else near


def problem(slug):
    """What is wrong with `slug`, as one line that suggests another; None when nothing is."""
    if not re.fullmatch("[a-z][a-z0-9_]*", slug):
        why = "is not made of lower-case letters, digits and underscores, a letter first"
    elif slug in TAKEN:
        why = "is taken by Python, by a package that services often install, or by Windows"
    else:
        return None
    return f"project_slug {slug!r} {why}; {suggestion(slug)!r} would do."


def blank(name):
    """One line that says that `name` is blank, with the fix; None when it is not."""
    if name.strip():
        return None
    return (
        "project_name is blank. Give the service a name, such as project_name='My Flask Service'."
    )


if __name__ == "__main__":
    name = r"""
{{ cookiecutter.project_name | tojson }}
"""
    slug = r"""
{{ cookiecutter.project_slug | tojson }}
"""
    if line := blank(json.loads(name)) or problem(json.loads(slug)):
        sys.exit(line)
    # cookiecutter skips a file if a folder is in its place. Without the hooks it renders this one,
    # which fails with a message: files of other answers would stay, and no key would be made.
    os.makedirs(".accept-hooks", exist_ok=True)

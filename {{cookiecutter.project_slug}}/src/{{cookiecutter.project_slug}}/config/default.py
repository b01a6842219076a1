"""The service's own settings, for every environment; secure defaults: flask_secure/defaults/."""

# % if cookiecutter.data == "accounts"
from datetime import timedelta

# % endif
SERVICE_NAME = "{{ cookiecutter.__name }}"  # fmt: skip
SERVICE_DESCRIPTION = "{{ cookiecutter.__description }}"  # fmt: skip

# % if cookiecutter.data != "nothing"
# The folder for SQLite and uploads, in the project. Production sets one that outlives a release.
DATA_FOLDER = "data"
# SQLite, in the data folder. To use PostgreSQL, set the variable DATABASE_URL=postgresql://...
DATABASE_URL = "sqlite:///database.sqlite"
# % endif
# % if cookiecutter.data == "database"
# The service's own checks, which `flask doctor` runs too.
CHECKS = ["{{ cookiecutter.project_slug }}.database:check_settings"]
# Settings whose variables have no FLASK_ prefix. Files work too: DATABASE_URL_FILE.
UNPREFIXED_VARIABLES = ["DATA_FOLDER", "DATABASE_URL"]

# % elif cookiecutter.data == "accounts"
# The mail server: smtp://user:password@mail.example.org. Without it, development prints mails.
MAIL_URL = ""
MAIL_FROM = "service@localhost"
MAIL_CA_FILE = ""  # a file with the mail server's CA, if the system does not trust it
SERVICE_URL = ""  # for links in mails; without it, https:// and the one name in TRUSTED_HOSTS
RATELIMIT_STORAGE_URI = "memory://"
# Seconds to wait for Redis, twice at most, before each process counts in its own memory.
RATELIMIT_STORAGE_OPTIONS = {"socket_connect_timeout": 0.4, "socket_timeout": 0.4}
PASSWORD_MINIMUM = 15  # characters (NIST SP 800-63B-4, for a password that is the only factor)
HASHES_AT_ONCE = 2  # passwords per process, 19 MiB each; after waiting 5 seconds, 503
ACCOUNT_SESSION_IDLE = timedelta(days=14)  # a session expires after this long without a visit
ACCOUNT_SESSION_LIFETIME = timedelta(days=30)  # since sign-in (NIST SP 800-63B-4, 2.1.3)
ACCOUNT_SESSIONS_MAXIMUM = 20  # browsers; one more signs out the least recently used one
CHECKS = [  # the service's own checks, which `flask doctor` runs too
    "{{ cookiecutter.project_slug }}.database:check_settings",
    "{{ cookiecutter.project_slug }}.accounts:check",
]
# Settings whose variables have no FLASK_ prefix. Files work too: DATABASE_URL_FILE, MAIL_URL_FILE.
UNPREFIXED_VARIABLES = [
    "DATA_FOLDER",
    "DATABASE_URL",
    "MAIL_URL",
    "MAIL_FROM",
    "MAIL_CA_FILE",
    "RATELIMIT_STORAGE_URI",
    "SERVICE_URL",
]

# % endif
# More settings that you may want to change. Remove the # and enter your own value.
# `flask config` shows every setting, and where its value comes from.
#
# The names of the service. Production needs them, here or in the variable TRUSTED_HOSTS.
# TRUSTED_HOSTS = ["www.example.org"]
# How many reverse proxies are in front. The service trusts the X-Forwarded headers of so many.
# TRUSTED_PROXIES = 1
# How long a session is valid, in seconds. Wait that long before you retire an old key.
# PERMANENT_SESSION_LIFETIME = 31 * 24 * 3600
# The largest request, in bytes. To accept uploads, set request.max_content_length in their view.
# MAX_CONTENT_LENGTH = 2 * 1024 * 1024
# Allow scripts from another origin. Keep "'self'", or browsers block the service's own scripts.
# CONTENT_SECURITY_POLICY = {"script-src": ["'self'", "https://cdn.example.org"]}
# Add a header or replace one. The value None removes one of the library's headers.
# SECURITY_HEADERS = {"Permissions-Policy": "camera=(self)", "X-Robots-Tag": "noindex"}
# If a sub-domain has no https yet, require https only for this name.
# STRICT_TRANSPORT_SECURITY = "max-age=31536000"
# Other origins whose pages may post forms to this service.
# CSRF_TRUSTED_ORIGINS = ["https://app.example.org"]
# A problem that `flask doctor` reports and you accept, and the reason.
# SILENCED_CHECKS = {"limit-body": "customers send videos"}
# Do not put secrets here. The variable FLASK_API_TOKEN sets API_TOKEN. FLASK_API_TOKEN_FILE names
# a file that contains the value.

# Your directives and headers are merged with the library's by name. To allow images from elsewhere:
# CONTENT_SECURITY_POLICY = {"img-src": ["'self'", "https://images.example.org"]}

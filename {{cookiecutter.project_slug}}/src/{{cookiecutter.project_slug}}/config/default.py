"""The service's own settings, for every environment. What is secure by default is in flask_secure/defaults/."""

SERVICE_NAME = "{{ cookiecutter.__name }}"  # fmt: skip
SERVICE_DESCRIPTION = "{{ cookiecutter.__description }}"  # fmt: skip

# % if cookiecutter.data != "nothing"
# SQLite, in the instance folder. DATABASE_URL=postgresql://... gives another database.
DATABASE_URL = "sqlite:///database.sqlite"
# % endif
# % if cookiecutter.data == "database"
UNPREFIXED_VARIABLES = ["TRUSTED_HOSTS", "TRUSTED_PROXIES", "DATABASE_URL"]  # also as files: DATABASE_URL_FILE

# % elif cookiecutter.data == "accounts"
# smtp://user:password@mail.example.org sends mail; in development it is printed. Limits are counted here, or in Redis.
MAIL_URL = ""
MAIL_FROM = "service@localhost"
RATELIMIT_STORAGE_URI = "memory://"
RATELIMIT_STORAGE_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 1}  # seconds, until memory takes over
PASSWORD_MINIMUM = 15  # characters (NIST SP 800-63B-4, for a password that is the only factor)
CHECKS = ["{{ cookiecutter.project_slug }}.accounts:check"]  # which `flask doctor` runs besides its own
UNPREFIXED_VARIABLES = ["TRUSTED_HOSTS", "TRUSTED_PROXIES"]  # also as files: DATABASE_URL_FILE, MAIL_URL_FILE
UNPREFIXED_VARIABLES += ["DATABASE_URL", "MAIL_URL", "MAIL_FROM", "RATELIMIT_STORAGE_URI"]

# % endif
# A policy and the headers are added to by name, and None removes one. To load images from another origin too:
# CONTENT_SECURITY_POLICY = {"img-src": ["'self'", "https://images.example.org"]}

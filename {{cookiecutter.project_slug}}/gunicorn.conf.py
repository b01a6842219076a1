"""How gunicorn serves the service: `gunicorn` in this folder reads this file, and its command line wins."""

import os

wsgi_app = "{{ cookiecutter.project_slug }}:create_app()"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 128  # most wait for a slow client; a reverse proxy in front that buffers requests takes these off
preload_app = True  # a start that fails is one line; new code and new keys need a restart
keepalive = 5  # seconds
graceful_timeout = 30  # seconds, for requests under way at the end

control_socket_disable = True
# TRUSTED_PROXIES says to the service whose forwarded headers it believes; gunicorn itself believes none.
forwarded_allow_ips = ""
secure_scheme_headers = {}
forwarder_headers = ""

_json = {"level": "INFO", "handlers": ["console"], "propagate": False}
logconfig_dict = {
    "formatters": {"generic": {"()": "flask_secure.logs.JsonFormatter"}},
    "loggers": {"gunicorn.error": _json, "gunicorn.access": _json},
}

"""The configuration of gunicorn, which reads this file if it is started in this folder.

Options on its command line override these.
"""

import os

wsgi_app = "{{ cookiecutter.project_slug }}:create_app()"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 128  # most wait for slow clients, unless a reverse proxy in front buffers requests
preload_app = True  # a failed start is one line; new code and new keys need a restart
keepalive = 5  # seconds
graceful_timeout = 30  # seconds in which running requests can finish

control_socket_disable = True
# The service trusts forwarded headers as TRUSTED_PROXIES says; gunicorn itself trusts none.
forwarded_allow_ips = ""
secure_scheme_headers = {}
forwarder_headers = ""

_json = {"level": "INFO", "handlers": ["console"], "propagate": False}
logconfig_dict = {
    "formatters": {"generic": {"()": "flask_secure.logs.JsonFormatter"}},
    "loggers": {"gunicorn.error": _json, "gunicorn.access": _json},
}

"""How gunicorn serves the service: `gunicorn` alone, in this folder, reads this file. What a line leaves out is
gunicorn's default; an option on the command line wins.
"""

import os

wsgi_app = "{{ cookiecutter.project_slug }}:create_app()"
worker_class = "{{ cookiecutter.project_slug }}.server.Worker"  # gthread, with an end to slow requests
logger_class = "{{ cookiecutter.project_slug }}.server.JsonLogger"
accesslog = "-"

# Threads wait most of the time, for a client or a database; processes compute.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 32

# One check of the settings, whose refusal is one line; a faster start and less memory. New code and new keys
# need a restart: on SIGHUP the workers would begin again with what is loaded.
preload_app = True

timeout = 30  # seconds in which a worker must show that it lives
graceful_timeout = 30  # seconds that requests under way have at the end
keepalive = 5

control_socket_disable = True  # nobody steers it but by signals
# Nobody's forwarded headers are believed here: TRUSTED_PROXIES says to the service whose are.
forwarded_allow_ips = ""
secure_scheme_headers = {}
forwarder_headers = ""

"""What holds in every environment: the safe values. The other layers only say what differs."""

SERVICE_NAME = "{{ cookiecutter.__name }}"
SERVICE_DESCRIPTION = "{{ cookiecutter.__description }}"

# Browsers take a __Host- cookie only over https, for this one host and for every path:
# a neighbour on another subdomain can't plant a session (RFC 6265bis).
SESSION_COOKIE_NAME = "__Host-{{ cookiecutter.project_slug }}"
SESSION_COOKIE_PATH = "/"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

MAX_CONTENT_LENGTH = 2 * 1024 * 1024  # bytes; a larger request is answered 413

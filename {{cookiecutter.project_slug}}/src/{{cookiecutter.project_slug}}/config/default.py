"""What holds in every environment: the safe values. The other layers only say what differs."""

SERVICE_NAME = "{{ cookiecutter.__name }}"  # fmt: skip
SERVICE_DESCRIPTION = "{{ cookiecutter.__description }}"  # fmt: skip

# Browsers take a __Host- cookie only over https, for this one host and for every path:
# a neighbour on another subdomain can't plant a session (RFC 6265bis).
SESSION_COOKIE_NAME = "__Host-{{ cookiecutter.project_slug }}"
SESSION_COOKIE_PATH = "/"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# Who the service answers to, and behind how many proxies: each machine says so in variables of these names.
TRUSTED_HOSTS = None
TRUSTED_PROXIES = 0

# Whose pages may post to this service, besides its own: ["https://app.example.org"].
CSRF_TRUSTED_ORIGINS: list[str] = []

# What a page may load, and from where. To allow an origin, add it to the line of its kind:
# "img-src": ["'self'", "https://images.example.org"]. What has no line here is allowed from nowhere.
CONTENT_SECURITY_POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "manifest-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}

# Browsers come by https alone, for a year from each visit. They ignore it where it comes by http (RFC 6797).
STRICT_TRANSPORT_SECURITY = "max-age=31536000; includeSubDomains"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that know no frame-ancestors
    "Referrer-Policy": "same-origin",  # "no-referrer" would make a form's Origin "null", and so its post a stranger's
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Permitted-Cross-Domain-Policies": "none",
}

# What a request may bring; more is answered 413. A view can allow more: request.max_content_length = ...
MAX_CONTENT_LENGTH = 2 * 1024 * 1024  # bytes in all
MAX_FORM_MEMORY_SIZE = 512 * 1024  # bytes of a form without files, or of one field where there are files
MAX_FORM_PARTS = 200  # fields and files of a form with files

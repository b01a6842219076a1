"""The secure defaults, for every environment. The application's own config/ wins over them."""

# Browsers accept a __Host- cookie only over https and from this one host (RFC 6265bis, 4.1.3.2).
SESSION_COOKIE_NAME = "__Host-{name}"
SESSION_COOKIE_PATH = "/"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
TRUSTED_HOSTS = None  # the names that the service answers to; required in production
TRUSTED_PROXIES = (
    0  # how many reverse proxies stand in front, whose X-Forwarded-* headers are believed
)
CSRF_TRUSTED_ORIGINS: list[str] = []  # other origins that may post: ["https://app.example.org"]
# A request without a cookie may come from any site if its Authorization has one of these schemes:
# no browser sends them by itself.
CSRF_AUTHORIZATION_SCHEMES = ["Bearer"]
CHECKS: list[str] = []  # the service's own, which `flask doctor` runs too: "shop.stock:check"
# Problems that the owner lives with, each with its reason: {"limit-body": "customers send videos"}
SILENCED_CHECKS: dict[str, str] = {}
HEALTH_CHECKS = [
    "/healthz",
    "/readyz",
]  # answered whatever the Host header, since probes come by IP address
UNPREFIXED_VARIABLES = [
    "TRUSTED_HOSTS",
    "TRUSTED_PROXIES",
]  # settings that variables give without FLASK_, verbatim
# What a page may load, and from where. A later layer adds to it by name:
# {"img-src": ["'self'", "https://images.example.org"]}.
CONTENT_SECURITY_POLICY = {
    "default-src": ["'none'"],
    **{
        f"{kind}-src": ["'self'"]
        for kind in ("script", "style", "img", "font", "connect", "manifest")
    },
    "form-action": ["'self'"],
    **{name: ["'none'"] for name in ("frame-ancestors", "base-uri", "object-src")},
}
# A policy that is only tried: browsers report what it would block, and block nothing. A dict like
# the one above, from which nothing is taken, or True for the one above.
CONTENT_SECURITY_POLICY_REPORT_ONLY: bool | dict[str, list[str]] = {}
CSP_REPORTS = False  # whether browsers send reports to the service, which logs their counts
STRICT_TRANSPORT_SECURITY = (
    "max-age=31536000; includeSubDomains"  # https alone, for a year (RFC 6797)
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    # With "no-referrer", the Origin of the service's own forms would be "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
    "X-Permitted-Cross-Domain-Policies": "none",
}
MAX_CONTENT_LENGTH = 2 * 1024 * 1024  # bytes of a request; more is answered 413
MAX_FORM_MEMORY_SIZE = (
    512 * 1024
)  # bytes of a form without files, or of one field of a form with files
MAX_FORM_PARTS = 200

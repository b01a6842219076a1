"""What differs on a developer's machine."""

DEBUG = True
# Plain http. Services on other ports of localhost share its cookies, so the name is this one's own.
SESSION_COOKIE_NAME = "{name}_session"
SESSION_COOKIE_SECURE = False
STRICT_TRANSPORT_SECURITY = None
# No other name leads here (DNS rebinding). For one more, in .env:
# TRUSTED_HOSTS=localhost,127.0.0.1,dev.example.org
TRUSTED_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]"]
DEBUG_TB_INTERCEPT_REDIRECTS = False
CSP_REPORTS = True  # each violation is shown in the terminal and in the toolbar's Security panel

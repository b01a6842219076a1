"""What differs on a developer's machine."""

DEBUG = True

# Plain http on localhost; and services on other ports of localhost share its cookies,
# so the name is this project's own.
SESSION_COOKIE_NAME = "{{ cookiecutter.project_slug }}_session"
SESSION_COOKIE_SECURE = False
STRICT_TRANSPORT_SECURITY = None

# No page of another site can reach the service by a name of its own that leads to this machine (DNS rebinding).
# To use another name too, give the whole list: TRUSTED_HOSTS=localhost,127.0.0.1,dev.example.org in .env.
TRUSTED_HOSTS = ["localhost", ".localhost", "127.0.0.1"]

# A redirect is followed, instead of stopping at a page of the toolbar's.
DEBUG_TB_INTERCEPT_REDIRECTS = False

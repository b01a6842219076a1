"""What differs on a developer's machine."""

DEBUG = True

# Plain http on localhost; and services on other ports of localhost share its cookies,
# so the name is this project's own.
SESSION_COOKIE_NAME = "{{ cookiecutter.project_slug }}_session"
SESSION_COOKIE_SECURE = False

# A redirect is followed, instead of stopping at a page of the toolbar's.
DEBUG_TB_INTERCEPT_REDIRECTS = False

# For the flask command. Not a secret: this file belongs into git.
FLASK_APP={{ cookiecutter.project_slug }}
# The development server starts anew when this changes, as it does for sources.
FLASK_RUN_EXTRA_FILES=.env

# For the flask command. Not a secret: this file belongs into git.
FLASK_APP={{ cookiecutter.project_slug }}

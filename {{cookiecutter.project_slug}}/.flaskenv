# For the `flask` command, in this folder and below. Commit this file: it holds no secret.
FLASK_APP={{ cookiecutter.project_slug }}

"""The service's own settings, for every environment. What is secure by default is in flask_secure/defaults/."""

SERVICE_NAME = "{{ cookiecutter.__name }}"  # fmt: skip
SERVICE_DESCRIPTION = "{{ cookiecutter.__description }}"  # fmt: skip

# A policy and the headers are added to by name, and None removes one. To load images from another origin too:
# CONTENT_SECURITY_POLICY = {"img-src": ["'self'", "https://images.example.org"]}

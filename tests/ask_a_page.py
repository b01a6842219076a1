"""Asks the service of the working folder for its first page in development; exits with 1 if that is not a page."""

import os
import sys

os.environ["APP_ENV"] = "development"

from my_flask_service import create_app

app = create_app()
if "alembic" in app.extensions:
    with app.app_context():
        app.extensions["alembic"].upgrade()
response = app.test_client().get("/", headers={"Accept": "text/html"})
print(response.status, len(response.data), "bytes; the toolbar:", b"flDebug" in response.data)
sys.exit(response.status_code != 200 or b"flDebug" not in response.data)

"""The first page: an example of how to test a page. Replace it with the page."""

from flask.testing import FlaskClient
from markupsafe import escape


def test_the_page_says_what_the_service_is(client: FlaskClient) -> None:
    page = client.get("/").text
    assert str(escape(client.application.config["SERVICE_NAME"])) in page


def test_the_session_counts_visits(client: FlaskClient) -> None:
    assert "first visit" in client.get("/").text
    assert "2 times" in client.get("/").text

"""What differs under test: the name that Flask's test client calls the service by."""

TRUSTED_HOSTS = ["localhost"]

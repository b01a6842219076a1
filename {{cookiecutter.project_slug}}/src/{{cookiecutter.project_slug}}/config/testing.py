"""What differs under test: next to nothing, so that tests see what production does.

TESTING itself is set with the environment, and the signing key is made for the process.
"""

TRUSTED_HOSTS = ["localhost"]  # as Flask's test client calls the service

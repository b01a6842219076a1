"""What differs under test: nothing so far, so that tests see what production does.

TESTING itself is set with the environment, and the signing key is made for the process.
"""

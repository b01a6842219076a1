"""What differs under test: next to nothing, so that tests see what production does."""

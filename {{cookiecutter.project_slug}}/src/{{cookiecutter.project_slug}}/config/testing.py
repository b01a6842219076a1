"""What differs in tests: almost nothing, so that tests behave as production does."""

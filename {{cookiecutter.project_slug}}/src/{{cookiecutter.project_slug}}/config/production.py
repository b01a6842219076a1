"""What differs in production: nothing so far, since the defaults are production's."""

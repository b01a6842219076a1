"""What differs in production: nothing, since the defaults are production's."""

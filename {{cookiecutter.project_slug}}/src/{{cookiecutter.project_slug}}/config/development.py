"""What differs on a developer's machine, besides what flask_secure/defaults/development.py says."""

"""`python -m flask_secure key|doctor|config`: the commands where `flask` does not have them."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="python -m flask_secure")

"""``python -m graphspec`` is the command ``graphspec``."""

from graphspec.cli.main import run

if __name__ == "__main__":
    run()

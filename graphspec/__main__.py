"""``python -m graphspec`` is the command ``graphspec``: both begin here."""

import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the program; Ctrl-C while Python still imports it ends as quietly as later on."""
    try:
        from graphspec.cli import main

        main.run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()

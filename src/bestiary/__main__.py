"""`python -m bestiary` is `bestiary`."""

import sys

from bestiary.cli.app import main

if __name__ == "__main__":
    sys.exit(main())

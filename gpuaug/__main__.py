"""`python -m gpuaug`: the command line."""

import sys

from gpuaug.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m workflow_runtime.frontends.dev``."""

import sys

from workflow_runtime.frontends.dev.server import main

if __name__ == "__main__":
    sys.exit(main())

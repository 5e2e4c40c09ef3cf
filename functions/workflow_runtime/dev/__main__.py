"""``python -m workflow_runtime.dev``."""

import sys

from workflow_runtime.dev.server import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m document_system``, the same as the script ``document-system``."""

from __future__ import annotations

import sys

from document_system.cli import main

if __name__ == "__main__":
    sys.exit(main())

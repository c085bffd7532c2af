"""``python -m maskedmod`` is the command ``maskedmod``."""

import sys

from maskedmod.cli import main

sys.exit(main())

"""``python -m maskedmod`` is the command ``maskedmod``."""

from maskedmod.cli import entry

if __name__ == "__main__":
    entry()

"""Numbers of bytes for people."""

from __future__ import annotations


def amount(count: int) -> str:
    """Bytes as a person reads them: 1.2 GB."""
    if count >= 10**18:
        return "more than 10^18 bytes"
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

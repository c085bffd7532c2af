"""Where downloads are kept, and the hashes of first downloads, which later ones must have as well."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from maskedmod.errors import UserError
from maskedmod.support import strict_json


def home() -> Path:
    """``MASKEDMOD_CACHE``, else ``maskedmod`` in the user's folder for caches."""
    named = os.environ.get("MASKEDMOD_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "maskedmod"


def place(name: str) -> Path:
    """The folder of a checkpoint, also for files that are put there by hand."""
    return home() / "checkpoints" / name


def offline() -> bool:
    """Whether the network must not be used (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def sha256(file: Path) -> str:
    """Hash of a file's content."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def pins() -> dict[str, dict[str, str]]:
    """By name and revision of a checkpoint: the hash of each file, and under ``commit`` the state of the hub's folder."""
    file = home() / "pins.json"
    if not file.is_file():
        return {}
    return {
        name: {str(k): str(v) for k, v in own.items()} for name, own in strict_json.read(file).items() if isinstance(own, dict)
    }


def pin(name: str, facts: dict[str, str]) -> bool:
    """Note what the first download gave; False where the folder cannot be written."""
    from filelock import FileLock

    file = home() / "pins.json"
    temporary = file.with_name(f".pins.{os.getpid()}")
    try:
        home().mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):
            temporary.write_text(json.dumps({**pins(), name: facts}, indent=1, sort_keys=True) + "\n")
            os.replace(temporary, file)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True


def check(name: str, file: str, found: str, published: str, pinned: str) -> None:
    """UserError when a file is not the published one, or not the one of the first download."""
    if published and found != published:
        raise UserError(f"{name}: {file} has SHA-256 {found}, published is {published}; it was removed")
    if not published and pinned and found != pinned:
        raise UserError(
            f"{name}: {file} has SHA-256 {found}, the first download had {pinned}; it was removed. "
            f"If the publisher's change is meant, delete {name} from {home() / 'pins.json'}"
        )

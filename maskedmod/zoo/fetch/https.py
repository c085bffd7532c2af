"""One file by HTTP: resumed where it broke off, tried again, checked, put in its place whole or not at all."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError
from maskedmod.support.sizes import amount
from maskedmod.support.version import __version__

CHUNK = 1 << 20
ATTEMPTS = 5
PAUSE = 0.5
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = 30.0
PASSING = (408, 425, 429, 500, 502, 503, 504)

Say = Callable[[str], None]


class UnreachableError(UserError):
    """The server did not answer, or not with the file."""


def fetch(url: str, target: Path, check: Callable[[Path], None], say: Say) -> Path:
    """The file of ``url`` at ``target``; there already: nothing is done. A second process that wants the same file waits.

    ``check`` raises when the file is not the right one; it is removed then. UserError in one line for whatever else goes wrong;
    what had come stays as ``.TARGET.part`` and is gone on from, but when the disk is full.
    """
    if target.is_file():
        return target
    from filelock import FileLock, Timeout

    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process fetches {target.name}; waiting for it")
            lock.acquire()
        try:
            if not target.is_file():
                _whole(url, part, check, say)
                os.replace(part, target)
                _remove(part)
        finally:
            lock.release()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _remove(part)
            raise UserError(f"{target}: the disk is full; the part that had come was removed") from None
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or error.errno == errno.EROFS:
            where = f"{target.parent} cannot be written ({error.strerror})"
            raise UserError(f"{where}; MASKEDMOD_CACHE names another folder") from None
        raise UserError(f"{target}: {error}") from None
    return target


def _whole(url: str, part: Path, check: Callable[[Path], None], say: Say) -> None:
    """The whole file in ``part``, and the right one."""
    _attempts(url, part, say)
    try:
        check(part)
    except UserError:
        _remove(part)
        raise


def _attempts(url: str, part: Path, say: Say) -> None:
    """Until the whole file is in ``part``. An attempt that brought something does not count."""
    failed, reason = 0, ""
    while failed < ATTEMPTS:
        if failed:
            time.sleep(PAUSE * 2 ** (failed - 1))
        had = _size(part)
        try:
            _once(url, part)
            return
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code not in PASSING:
                raise UnreachableError(f"{url}: the server answers {reason}") from None
            _wait(error)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        failed = 1 if _size(part) > had else failed + 1
        say(f"{url}: {reason}; {amount(_size(part))} are here, trying again")
    raise UnreachableError(f"{url}: {reason} ({ATTEMPTS} attempts)")


def _once(url: str, part: Path) -> None:
    """One request, from the byte on at which the part ends, if the server still has the same file."""
    notes = part.with_name(f"{part.name}.json")
    known: dict[str, Any] = {}
    if part.is_file() and notes.is_file():
        known = json.loads(notes.read_text() or "{}")
    start = _size(part) if known.get("url") == url and known.get("etag") else 0
    headers = {"User-Agent": f"maskedmod/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": str(known["etag"])}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").endswith(f"/{start}"):
            return  # the part is the whole file already
        _remove(part)
        raise ConnectionError("the part that is here does not fit the file") from None
    with answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        etag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        room = shutil.disk_usage(part.parent).free
        if total is not None and total - start > room:
            raise OSError(errno.ENOSPC, f"{amount(total - start)} are needed, {amount(room)} are free")
        notes.write_text(json.dumps({"url": url, "etag": "" if etag.startswith("W/") else etag}))
        _copy(answer, part, start, total)
    if total is not None and _size(part) < total:
        raise ConnectionError(f"the connection broke off at {amount(_size(part))} of {amount(total)}")


def _copy(answer: Any, part: Path, start: int, total: int | None) -> None:
    from tqdm import tqdm

    name = part.name.removeprefix(".").removesuffix(".part")
    bar = tqdm(initial=start, total=total, desc=name, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False)
    with bar, part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while piece := answer.read(CHUNK):
            file.write(piece)
            bar.update(len(piece))
        file.flush()
        os.fsync(file.fileno())


def _wait(error: urllib.error.HTTPError) -> None:
    """What the server asks for, half a minute at most."""
    asked = error.headers.get("Retry-After", "")
    if asked.isdigit():
        time.sleep(min(int(asked), 30))


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _remove(part: Path) -> None:
    for file in (part, part.with_name(f"{part.name}.json")):
        file.unlink(missing_ok=True)

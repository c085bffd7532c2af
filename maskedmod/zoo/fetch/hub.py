"""Checkpoints of the Hugging Face Hub through ``huggingface_hub``: its cache, tokens, mirrors and settings are the user's own.

``HF_HOME``, ``HF_HUB_CACHE``, ``HF_TOKEN``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` mean what they mean everywhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from maskedmod.errors import UserError, one_line
from maskedmod.support import strict_json
from maskedmod.zoo.checkpoints import WEIGHT_FILES
from maskedmod.zoo.fetch import cache, https

BESIDE = (
    "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "vocab.json", "merges.txt",
)  # fmt: skip
"""Small files that a loader may ask for."""
Result = TypeVar("Result")


def fetch(repo: str, revision: str | None, files: Sequence[str], published: Mapping[str, str], say: https.Say) -> Path:
    """Files of a repository -> its folder in the hub's cache. ``files``: () for the usual ones.

    A revision is pinned when it is first fetched: the same commit and the same hashes hold from then on, and what is in the cache
    is used without asking the network. UserError in one line; ``https.UnreachableError`` when there is no answer and the cache,
    which other programs fill as well, has not what is needed.
    """
    name = f"{repo}@{revision}" if revision else repo
    pinned = cache.pins().get(name, {})
    needed = [file for file in pinned if file != "commit"] or list(files)
    here = _cached(repo, pinned.get("commit") or revision, needed)
    if here is not None and (pinned or cache.offline()):
        return here
    if cache.offline():
        raise https.UnreachableError("the network is off (HF_HUB_OFFLINE)")
    try:
        folder, facts = _fetched(repo, revision, files, published, pinned, say)
    except https.UnreachableError as error:
        if here is None:
            raise
        say(f"{error}; what is in the cache is used")
        return here
    if facts != pinned and not cache.pin(name, facts):
        say(f"{cache.home()} cannot be written: the hashes of {name} are not kept")
    return folder


def _fetched(
    repo: str,
    revision: str | None,
    files: Sequence[str],
    published: Mapping[str, str],
    pinned: Mapping[str, str],
    say: https.Say,
) -> tuple[Path, dict[str, str]]:
    """The folder, and what is to be pinned: the commit and the hash of every file."""
    hub = _library()
    info = _tried(lambda: hub.HfApi().model_info(repo, revision=pinned.get("commit") or revision), repo, say)
    facts = {"commit": str(info.sha)}
    names = list(files) or chosen([sibling.rfilename for sibling in info.siblings or []], repo)
    folder = Path()
    while names:
        file = names.pop(0)
        path = Path(_tried(partial(hub.hf_hub_download, repo, file, revision=facts["commit"]), repo, say))
        facts[file] = _checked(repo, file, path, published.get(file, ""), pinned.get(file, ""))
        folder = path.parents[file.count("/")]
        if file.endswith(".index.json"):
            names += sorted(_parts(path) - facts.keys())
    return folder, facts


def chosen(names: Sequence[str], repo: str) -> list[str]:
    """Of all files of a repository: its weights, safetensors if it has them, and the small files beside them."""
    weights = next((file for file in WEIGHT_FILES if file in names), None)
    if weights is None:
        some = ", ".join(sorted(names)[:5]) or "nothing"
        raise UserError(f"{repo}: none of {', '.join(WEIGHT_FILES)} is in this repository (it has {some})")
    return [weights, *(file for file in BESIDE if file in names)]


def endpoint() -> str:
    """The server that is asked."""
    return str(_library().constants.ENDPOINT)


def _library() -> Any:
    import huggingface_hub

    if not sys.stderr.isatty():
        import_module("huggingface_hub.utils").disable_progress_bars()
    return huggingface_hub


def _cached(repo: str, revision: str | None, files: Sequence[str]) -> Path | None:
    """The folder of this revision in the cache, if all that is needed is there."""
    hub = _library()

    def find(file: str) -> Path | None:
        found = hub.try_to_load_from_cache(repo, file, revision=revision)
        return Path(found) if isinstance(found, str) else None

    needed = list(files) or [file for file in WEIGHT_FILES if find(file)][:1]
    folder = None
    for file in needed:
        path = find(file)
        if path is None:
            return None
        folder = path.parents[file.count("/")]
        if file.endswith(".index.json"):
            needed += sorted(_parts(path) - set(needed))
    return folder


def _parts(index: Path) -> set[str]:
    """Names of the files that an index divides weights over."""
    places = strict_json.read(index).get("weight_map")
    if not isinstance(places, dict):
        raise UserError(f"{index}: not an index of weights, which has a weight_map")
    return {str(part) for part in places.values()}


def _checked(name: str, file: str, path: Path, published: str, pinned: str) -> str:
    """SHA-256 of a file. It must be what was published or pinned, and what the server itself says (the name of the blob)."""
    found = cache.sha256(path)
    blob = path.resolve()
    try:
        if re.fullmatch("[0-9a-f]{64}", blob.name) and blob.name != found:
            raise UserError(f"{name}: {file} has SHA-256 {found}, the server says {blob.name}; it was removed")
        if re.fullmatch("[0-9a-f]{40}", blob.name) and blob.name != _git(path):
            raise UserError(f"{name}: {file} is not what the server says it is ({blob.name}); it was removed")
        cache.check(name, file, found, published, pinned)
    except UserError:
        for place in (path, blob):
            with contextlib.suppress(OSError):
                place.unlink()
        raise
    return found


def _git(path: Path) -> str:
    """The name that git gives a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _tried(call: Callable[[], Result], repo: str, say: https.Say) -> Result:
    """The call, again after errors that pass."""
    for attempt in range(https.ATTEMPTS):
        try:
            return call()
        except Exception as error:  # errors of several libraries below the hub's
            passing = _explained(error, repo)
            if attempt == https.ATTEMPTS - 1:
                raise https.UnreachableError(f"{passing} ({https.ATTEMPTS} attempts)") from None
            say(f"{repo}: {passing}; trying again")
            time.sleep(https.PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _explained(error: Exception, repo: str) -> str:
    """The reason of an error that may pass; the others are raised, in one line."""
    from huggingface_hub import errors

    server = endpoint()
    if isinstance(error, errors.GatedRepoError):
        raise UserError(f"{repo}: its publisher lets in who asked: ask on {server}/{repo}, then set HF_TOKEN") from None
    if isinstance(error, errors.RepositoryNotFoundError):
        raise UserError(f"{repo}: no such model on {server}, or a private one: then set HF_TOKEN (404)") from None
    if isinstance(error, errors.RevisionNotFoundError | errors.EntryNotFoundError) and not isinstance(
        error, errors.LocalEntryNotFoundError
    ):
        raise UserError(f"{repo}: {one_line(str(error), 200)}") from None
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.HfHubHTTPError) and status is not None and status not in https.PASSING:
        raise UserError(f"{repo}: {server} answers {status}") from None
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise UserError(f"{repo}: the disk is full ({_cache_folder()}); HF_HUB_CACHE names another folder") from None
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        raise UserError(f"{repo}: {_cache_folder()} cannot be written; HF_HUB_CACHE names another folder") from None
    if not isinstance(error, OSError | errors.HfHubHTTPError) and type(error).__module__.split(".")[0] not in (
        "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "huggingface_hub", "hf_xet",
    ):  # fmt: skip
        raise error
    return f"{server} answers {status}" if status else one_line(str(error) or type(error).__name__, 150)


def _cache_folder() -> str:
    return str(_library().constants.HF_HUB_CACHE)

"""The built-in sample: what Python says of itself. No download."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Sequence
from functools import cache

from maskedmod.core.modality import Record
from maskedmod.data.sources import split_by_hash
from maskedmod.errors import UserError

MODULES = (
    "abc argparse array ast asyncio base64 bisect calendar cmd codecs collections configparser contextlib copy csv ctypes "
    "dataclasses datetime decimal difflib doctest email enum fileinput fnmatch fractions functools gettext glob gzip "
    "hashlib heapq hmac html http inspect io ipaddress itertools json linecache locale logging mailbox math mimetypes "
    "multiprocessing numbers operator optparse os pathlib pdb pickle pickletools platform plistlib pprint profile pstats "
    "queue random re sched secrets select selectors shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl stat "
    "statistics string struct subprocess sys sysconfig tarfile tempfile textwrap threading timeit tokenize trace traceback "
    "types typing unittest urllib.parse urllib.request uuid warnings wave weakref xml.dom.minidom xml.etree.ElementTree "
    "xml.sax zipfile zlib "
)
HELD_OUT = 0.1
SHORTEST = 60
"""Letters of a paragraph that is taken."""


def records(split: str) -> Sequence[Record]:
    """Paragraphs of the docstrings of the standard library, in the order of the modules, each once; label: the module. A few
    thousand to train on, a tenth as many for ``val``; which ones exactly depends on the version of Python."""
    if split not in ("train", "val"):
        raise UserError(f"the built-in text has the splits train and val, not {split!r}")
    return _both()[split]


@cache
def _both() -> dict[str, list[Record]]:
    found: dict[str, Record] = {}
    for name in MODULES.split():
        try:
            module = importlib.import_module(name)
        except ImportError:  # left out of some builds of Python
            continue
        for place, paragraph in enumerate(_paragraphs(module)):
            found.setdefault(paragraph, Record(paragraph, f"{name} paragraph {place + 1}", name))
    every = list(found.values())
    train, val = split_by_hash(list(found), HELD_OUT)
    return {"train": [every[i] for i in train], "val": [every[i] for i in val]}


def _paragraphs(module: object) -> list[str]:
    """Prose of a module, its classes and functions; code and tables are told by their layout and left out."""
    texts = [inspect.getdoc(module) or ""]
    for _, member in sorted(vars(module).items()):
        if getattr(member, "__module__", None) != getattr(module, "__name__", ""):
            continue
        texts.append(inspect.getdoc(member) or "")
        if inspect.isclass(member):
            texts += [inspect.getdoc(part) or "" for _, part in sorted(vars(member).items()) if inspect.isroutine(part)]
    found = []
    for paragraph in "\n\n".join(texts).split("\n\n"):
        plain = " ".join(textwrap.dedent(paragraph).split())
        if len(plain) >= SHORTEST and ">>>" not in plain and "  " not in paragraph.strip():
            found.append(plain)
    return found

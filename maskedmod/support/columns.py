"""Text that fits a terminal: lines broken between words, what follows indented below its column."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80
FARTHEST = 34
"""Column at which a description may begin; one that begins farther right goes to lines of its own."""
_ENTRY = re.compile(r"^( *\S.*?)( {2,})(\S.*)$")


def entry(start: str, text: str, column: int | None = None, width: int = WIDTH) -> str:
    """``start`` and a description that hangs at ``column`` (default: the end of ``start``), in lines of at most ``width``."""
    column = len(start) if column is None else column
    if column > FARTHEST or len(start.rstrip()) >= column:
        hang = " " * (len(start) - len(start.lstrip()) + 4)
        return "\n".join([*_wrap(start.rstrip(), "", hang, width), *_wrap(text, hang, hang, width)])
    return "\n".join(_wrap(text, start.ljust(column), " " * column, width)) or start.rstrip()


def fitted(text: str) -> str:
    """A page of help: paragraphs, and entries of a word and its description, wrapped anew where a line is over 80."""
    blocks: list[tuple[str, str, int]] = []  # start, text, column; a paragraph has an empty start
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        found = _ENTRY.match(line)
        if not line.strip():
            blocks.append(("", "", -1))
        elif found:
            blocks.append((found[1], found[3], found.start(3)))
        elif blocks and blocks[-1][2] == indent and bool(blocks[-1][0]) == (indent > 0):
            blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]} {line.strip()}", indent)
        else:
            blocks.append(("", line.strip(), indent))
    return "\n".join(_block(*block) for block in blocks)


def _block(start: str, text: str, column: int) -> str:
    if column < 0:
        return ""
    if start:
        return entry(start, text, column)
    indent = " " * column
    return "\n".join(_wrap(text, indent, f"{indent}    " if text.startswith("maskedmod ") else indent))


def _wrap(text: str, first: str, later: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )

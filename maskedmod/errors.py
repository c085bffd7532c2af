"""Errors that a user can mend: the command line prints them as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A wrong setting, file or name. The message is one line that names it and says what was expected."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` for the known word that is spelt most alike, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def unknown(what: str, word: str, known: Iterable[str], where: str = "") -> UserError:
    """Error for a misspelt name: what it is, what is accepted, the nearest spelling."""
    names = list(dict.fromkeys(known))
    accepted = ", ".join(names) if names else "none"
    place = f" {where}" if where else ""
    return UserError(f"unknown {what} {word!r}{place}: accepted are {accepted}{nearest(word, names)}")


def one_line(message: str, most: int = 400) -> str:
    """The message with all white space runs made single blanks, cut at ``most`` characters."""
    flat = " ".join(message.split())
    return flat if len(flat) <= most else flat[: most - 3] + "..."

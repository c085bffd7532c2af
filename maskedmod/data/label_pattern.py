"""``data.label`` as a regular expression."""

from __future__ import annotations

import re

from maskedmod.errors import UserError


def label_pattern(text: str, groupless: str, also: str = "") -> re.Pattern[str]:
    """A pattern whose first group is the label. UserError for what is none, with ``also`` behind it, and for one without a group,
    which ends in ``groupless``."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"data.label={text!r} is no regular expression: {error}{also}") from None
    if pattern.groups < 1:
        raise UserError(f"data.label={text!r}: {groupless}")
    return pattern

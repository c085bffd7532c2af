"""What a vocabulary does not know of a sample: counted and told, and refused where it is more than half."""

from __future__ import annotations

from maskedmod.core.modality import BadSample, altered


def count_unknown(count: int, total: int, cause: str) -> None:
    """``count`` of ``total`` tokens are unknown: nothing for 0, told by ``altered`` up to half, else BadSample with the likely
    ``cause``."""
    if not count:
        return
    text = f"{count} of {total} tokens are not in the vocabulary"
    if 2 * count > total:
        raise BadSample(f"{text}: {cause}")
    altered(text)

"""The part of the report with pictures: the last reconstructions, and the same samples over time."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from maskedmod.report.page import details, note, section

PICTURES = 4
"""Earlier whole pictures that are shown, where there are no rows of the same samples."""
MOMENTS = 10
"""Rows over time that are shown at most."""


def pictures(run: Path) -> str:
    """The newest picture big; under it the same samples in time order."""
    files = sorted((run / "pictures").glob("*.png"), key=lambda file: (file.stat().st_mtime, file.name))
    last = f'<figure class="shot">{image(files[-1], 1800, exact=True)}</figure>' if files else ""
    over_time = strip(run / "pictures" / "rows")
    if not over_time and len(files) > 1:
        over_time = _earlier(sorted(file for file in files[:-1]))
    return section("Reconstructions", last + over_time)


def strip(folder: Path) -> str:
    """Rows of the same samples under one another in time order; nothing with fewer than two moments."""
    moments = sorted(folder.glob("step_*.png"))
    if len(moments) < 2:
        return ""
    chosen = moments
    if len(moments) > MOMENTS:
        chosen = [moments[i * (len(moments) - 1) // (MOMENTS - 1)] for i in range(MOMENTS)]
    rows = [(file.stem.partition("_")[2].replace("_", " "), file) for file in sorted(folder.glob("[01]_*.png"))]
    rows += [(f"step {int(file.stem.removeprefix('step_')):,}", file) for file in chosen]
    shown = "".join(f"<div><span>{escape(name)}</span>{image(file, 1000, exact=True)}</div>" for name, file in rows)
    return f'<h3>The same samples over time</h3><div class="shot strip">{shown}</div>'


def _earlier(files: list[Path]) -> str:
    chosen = files
    if len(files) > PICTURES:
        chosen = [files[i * (len(files) - 1) // (PICTURES - 1)] for i in range(PICTURES)]
    captions = [f"<figcaption>{escape(file.stem.replace('_', ' '))}</figcaption>" for file in chosen]
    images = [f'<div class="shot">{image(file, 1000)}</div>' for file in chosen]
    shown = "".join(f"<figure>{caption}{picture}</figure>" for caption, picture in zip(captions, images, strict=True))
    return details(f"Earlier in training ({len(chosen)})", shown)


def image(file: Path, width: int, exact: bool = False) -> str:
    """The picture inside the page, no wider than ``width``; as PNG when ``exact``, else as JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    try:
        with Image.open(file) as picture:
            size = (min(width, picture.width), max(1, round(picture.height * min(1.0, width / picture.width))))
            smaller = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            if exact:
                smaller.save(buffer, "PNG", optimize=True)
            else:
                smaller.save(buffer, "JPEG", quality=82)
    except OSError:
        return note(f"{file.name} cannot be read", "bad")
    inline = base64.b64encode(buffer.getvalue()).decode()
    kind = "png" if exact else "jpeg"
    return f'<img alt="{escape(file.stem)}" width="{size[0]}" height="{size[1]}" src="data:image/{kind};base64,{inline}">'

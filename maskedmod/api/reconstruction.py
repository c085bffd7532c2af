"""What ``model.reconstruct`` gives: the value, with its pictures and sounds as methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from maskedmod.reconstruct import display, reconstruction
from maskedmod.reconstruct.grid import save_grid
from maskedmod.reconstruct.media import png


class Reconstruction(reconstruction.Reconstruction):
    """See ``reconstruct.reconstruction``. A notebook shows the picture of the first eight samples."""

    @classmethod
    def of(cls, found: reconstruction.Reconstruction, title: str = "") -> Self:
        """The same values, under a title."""
        return cls(**{**vars(found), "title": title or found.title})

    def picture(self, max_samples: int = 8) -> Any:
        """The PIL image that a notebook shows: original, masked, mean-fill and reconstruction, with the errors."""
        return display.picture(self, max_samples)

    def save(self, path: str | Path, max_samples: int = 8, wav: bool = False) -> list[Path]:
        """Write the picture, with ``wav`` also sound beside it where the modality has any -> the files written."""
        return save_grid(self, Path(path), max_samples, headline=self.title or "Reconstruction", wav=wav)

    def _repr_png_(self) -> bytes:
        return png(self.picture())

    def _repr_html_(self) -> str:
        return display.html(self)

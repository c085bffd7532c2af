"""Labels of files from a CSV table beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from maskedmod.modalities.image import Image
from PIL import Image as Pillow

from maskedmod.data.sources.folder import Folder
from maskedmod.errors import UserError


def test_labels_from_a_table(tmp_path: Path) -> None:
    for name in ("fold1/a.png", "fold2/b.png", "fold2/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Pillow.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "meta.csv").write_text("filename,fold,target,category\nfold1/a.png,1,0,Dog bark\nb.png,2,7,Chainsaw\n")
    source = Folder(str(tmp_path), val_fraction=0.0, label="meta.csv")
    records = source.records("train", Image(size=32, patch_size=8))
    assert [record.label for record in records] == ["Dog bark", "Chainsaw", None]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="expected a column of file names and one of labels; it has a, b"):
        Folder(str(tmp_path), label="other.csv")
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        Folder(str(tmp_path), label="none.csv")

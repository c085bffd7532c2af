"""The wheel, installed away from the checkout: all files are in it, it lists the recipes and trains the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    "encoder.depth=1",
    "head.depth=1",
    "train.steps=2",
    "train.batch_size=4",
    "train.val_batches=1",
    "train.baseline_batches=1",
]


def called(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that no build folder is left behind and none is reused."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    called(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(out), cwd=source)
    return next(out.glob("*.whl"))


def test_every_module_and_recipe_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in (("maskedmod", "maskedmod"), ("modalities", "maskedmod/modalities"), ("recipes", "maskedmod/recipes")):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in inside
    tops = {name.split("/")[0] for name in inside}
    assert len(tops) == 2 and "maskedmod" in tops, f"the wheel installs {tops}"
    assert not [name for name in inside if name.startswith(("modalities/", "recipes/", "tests/"))]


def test_the_wheel_lists_recipes_and_trains_the_demo(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    called(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "-t", str(target), str(wheel), cwd=tmp_path)
    env = {**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    script = (
        "import maskedmod, sys; from maskedmod.cli import main\n"
        "import maskedmod.modalities.audio as audio\n"
        f"assert maskedmod.__file__.startswith({str(target)!r}) and audio.__file__.startswith({str(target)!r}), audio.__file__\n"
        "sys.exit(main(['ls', 'recipes']) or main(sys.argv[1:]))"
    )
    text = called(sys.executable, "-c", script, "train", "recipe=audio_mae", "out=run", *SMALL, cwd=tmp_path, env=env)
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert recipe.stem in text
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size and (tmp_path / "run" / "recipe.yaml").exists()

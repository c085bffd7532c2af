"""The report in a real browser: no console message, every figure there, no sideways scrolling on a phone, dark where asked."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from maskedmod.report import write_report
from maskedmod.train.run import train
from tests.train.test_run import tree

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")

LOOK = """<script>
addEventListener("load", () => {
  const boxes = kind => [...document.querySelectorAll(kind)].map(one => one.getBoundingClientRect().width);
  document.querySelectorAll("details").forEach(one => { one.open = true; });
  const found = {
    natural: [...document.images].map(one => one.naturalWidth), images: boxes("img"), figures: boxes("svg"),
    text: Math.min(...[...document.querySelectorAll("svg text")].map(one => one.getBoundingClientRect().height)),
    wide: document.documentElement.scrollWidth, window: innerWidth,
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>"""
FRAME = """<!doctype html><html><body style="margin:0"><script>
addEventListener("message", message => document.documentElement.setAttribute("data-found", message.data));
</script><iframe src="inside.html" style="border:0;width:{width}px;height:900px"></iframe></body></html>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with probe, pictures over time, and an evaluation beside its baselines."""
    out = train(tree(tmp_path_factory.mktemp("runs") / "run", "train.probe_every=2", "train.pictures_every=2"))
    one = {"metrics": {"top1": {"mean": 0.61, "std": 0.01}, "macro_f1": {"mean": 0.6, "std": None}}}
    result = {**one, "protocol": "linear", "seeds": [0, 1, 2], "baselines": {"random initialisation": one, "raw features": one}}
    result["verdicts"] = ["pre-training does NOT beat raw features: top1 61.00 against 61.00"]
    (out / "eval_linear.json").write_text(
        json.dumps({**result, "split": {"name": "folder path=photos", "train": 80, "test": 20}})
    )
    write_report(out)
    return out


def browse(page: Path, *words: str) -> tuple[str, list[str]]:
    """The page's document after its scripts ran, and what the console said."""
    profile = page.parent / "profile"
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [str(BROWSER), *fixed, f"--user-data-dir={profile}", *words, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(page.parent)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look(run: Path, folder: Path, width: int, *words: str) -> dict[str, Any]:
    """What a copy of the report measures of itself in a frame ``width`` pixels wide."""
    text = (run / "report.html").read_text(encoding="utf-8")
    (folder / "inside.html").write_text(text.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width))
    document, said = browse(folder / "frame.html", "--window-size=1400,1000", *words)
    assert said == []
    found = re.search(r'data-found="([^"]*)"', document)
    assert found, document[:500]
    measured: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert measured["window"] == width
    return measured


def light(colour: str) -> float:
    """Mean of red, green and blue, 0 to 255."""
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


@pytest.mark.parametrize("width", [390, 1280])
def test_figures_are_there_and_fit(run: Path, tmp_path: Path, width: int) -> None:
    found = look(run, tmp_path, width)
    assert len(found["natural"]) == 5 and min(found["natural"]) > 100  # last picture, original, masked, two moments
    assert len(found["figures"]) >= 6 and min(found["figures"] + found["images"]) > 100
    assert found["wide"] <= width
    assert found["text"] >= 9  # pixels
    assert light(found["paper"]) > 200 and light(found["ink"]) < 80


def test_dark_where_the_reader_likes_it(run: Path, tmp_path: Path) -> None:
    found = look(run, tmp_path, 1280, "--blink-settings=preferredColorScheme=0")
    assert light(found["paper"]) < 60 and light(found["ink"]) > 180


def test_the_measure_sees_faults(run: Path, tmp_path: Path) -> None:
    """A page that is too wide, with a broken picture and an error, is not taken for a good one."""
    bad = tmp_path / "bad"
    bad.mkdir()
    wide = '<div style="width:900px">x</div><img alt="" src="data:image/png;base64,AAAA">'
    text = (run / "report.html").read_text(encoding="utf-8").replace("</main>", f"{wide}</main>")
    (bad / "report.html").write_text(text, encoding="utf-8")
    found = look(bad, tmp_path, 390)
    assert found["wide"] > 390 and found["natural"][-1] == 0
    (tmp_path / "error.html").write_text("<!doctype html><script>throw new Error('broken')</script>")
    assert "broken" in browse(tmp_path / "error.html")[1][0]


def test_a_picture_of_the_page(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    page = tmp_path / "report.html"
    shutil.copy(run / "report.html", page)
    shot = tmp_path / "shot.png"
    browse(page, f"--screenshot={shot}", "--window-size=1000,3000")
    with Image.open(shot) as picture:
        colours = picture.convert("RGB").resize((200, 600)).getcolors(120_000)
    assert colours is not None and len(colours) > 500

"""Draws docs/images/rooms.svg, the rooms of the house and who leans on whom, from the list in tests/test_imports.py and from the
imports themselves: python docs/generate.py"""

from __future__ import annotations

import ast
import importlib.util
import math
from collections import Counter
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
ROW, CELL, LEFT, TEXT, TOP = 24, 15, 20, 624, 118
STYLE = """
  .bg { fill:#ffffff } .band { fill:#f3f6f9 } .sub { font-size:12px; fill:#57606a }
  .name { font-size:13px; font-weight:600; fill:#1b1f24 }
  .title { font-size:18px; font-weight:600; fill:#1b1f24 } .rule { stroke:#d7dce1 } .dot { fill:#2f6fb5 } .self { fill:#e3e8ed }
"""


def rules() -> ModuleType:
    """tests/test_imports.py, which holds the list and reads the imports."""
    spec = importlib.util.spec_from_file_location("house_rules", ROOT / "tests" / "test_imports.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(room: str, paths: list[Path]) -> str:
    """First sentence of what a room says of itself."""
    path = min(paths, key=lambda path: (len(path.parts), path.name != "__init__.py"))
    text = (ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    sentence = " ".join(text.replace("``", "").split()).partition(". ")[0].rstrip(".")
    return sentence if len(sentence) <= 80 else f"{sentence[:78].rsplit(' ', 1)[0]} ..."


def text(x: float, y: float, kind: str, words: str, more: str = "") -> str:
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{words}</text>'


def picture() -> str:
    """The whole SVG."""
    house = rules()
    rooms: list[str] = house.ROOMS
    held: dict[str, list[Path]] = {room: [] for room in rooms}
    for module, path in house.files().items():
        held[house.room(module)].append(path)
    counts = Counter((house.room(one.importer), house.room(one.module)) for one in house.FOUND)
    height, right = TOP + ROW * len(rooms), TEXT + CELL * len(rooms)
    place = {room: (TEXT + CELL * i, height - ROW * (i + 1)) for i, room in enumerate(rooms)}
    shapes = [_levels(house.LEVELS, place, right)]
    for room in rooms:
        x, y = place[room]
        name = room if room.startswith("_") or (ROOT / "maskedmod" / f"{room}.py").exists() else f"{room}/"
        shapes.append(text(LEFT + 34, y + 16, "name", name))
        shapes.append(text(LEFT + 140, y + 16, "sub", f"{len(held[room])}", ' text-anchor="end"'))
        shapes.append(text(LEFT + 152, y + 16, "sub", answer(room, held[room])))
        shapes.append(text(0, 0, "sub", name, f' transform="translate({x + CELL / 2 + 3:.1f} {TOP - 8}) rotate(-60)"'))
        shapes.append(f'<rect class="self" x="{x + 1}" y="{y + 5}" width="{CELL - 2}" height="{CELL - 1}" rx="3"/>')
        shapes += [_dot(place, room, other, counts[room, other]) for other in rooms if other != room and counts[room, other]]
    head = [
        text(LEFT, 34, "title", "Rooms from the ground (below) to the face (above)"),
        text(LEFT, 56, "sub", "level, room, number of Python files, what it says of itself; right: whom a room imports."),
        text(LEFT, 73, "sub", "Every dot lies left of the grey steps: imports go to rooms further down, and nowhere else."),
    ]
    width = right + 48
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 16}" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">\n'
        f"<title>Rooms of maskedmod and their imports</title>\n<style>{STYLE}</style>\n"
        f'<rect class="bg" width="{width}" height="{height + 16}" rx="14"/>\n' + "\n".join([*shapes, *head]) + "\n</svg>\n"
    )


def _levels(levels: tuple[tuple[str, ...], ...], place: dict[str, tuple[int, int]], right: int) -> str:
    """Bands, every second one tinted, with their numbers."""
    out = []
    for number, level in enumerate(levels):
        y, height = place[level[-1]][1], ROW * len(level)
        if number % 2 == 0:
            out.append(f'<rect class="band" x="{LEFT - 8}" y="{y}" width="{right - LEFT + 16}" height="{height}" rx="6"/>')
        out.append(text(LEFT, y + height / 2 + 4, "sub", str(number)))
    return "\n".join(out)


def _dot(place: dict[str, tuple[int, int]], room: str, other: str, count: int) -> str:
    """As large as there are many imports."""
    x, y, size = place[other][0] + CELL / 2, place[room][1] + ROW / 2, min(6.5, 1.6 + math.log2(count))
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"><title>{room} imports {other}: {count}</title></circle>'

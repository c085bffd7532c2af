"""The frame of report.html: style and small pieces. No script, no font and no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --paper:#fbfbfa; --card:#ffffff; --ink:#1b1f24; --soft:#616a75; --rule:#e2e5e9;
  --c1:#0b6bcb; --c2:#c2410c; --c3:#6b7280; --good:#15803d; --bad:#b91c1c; --code:#f3f4f6;
  --p0:#0b6bcb; --p1:#c2410c; --p2:#15803d; --p3:#b91c1c; --p4:#7c3aed; --p5:#8a5a2b; --p6:#db2777;
  --p7:#6b7280; --p8:#a3a300; --p9:#0891b2; --p10:#f0a000; --p11:#111827; }
@media (prefers-color-scheme: dark) { :root { --paper:#111418; --card:#191d23; --ink:#e6e9ed; --soft:#9aa4b0; --rule:#2c333c;
  --c1:#60a5fa; --c2:#fb923c; --c3:#9ca3af; --good:#4ade80; --bad:#f87171; --code:#22272f;
  --p0:#60a5fa; --p1:#fb923c; --p2:#4ade80; --p3:#f87171; --p4:#b794f6; --p5:#c9a27a; --p6:#f472b6;
  --p7:#9ca3af; --p8:#dede4a; --p9:#22d3ee; --p10:#fcc045; --p11:#f3f4f6; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height:1.2; margin:0 0 4px; overflow-wrap:anywhere; }
h2 { font-size:1.15rem; margin:38px 0 10px; }
p { margin:6px 0; } .soft { color:var(--soft); }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:12px; margin:22px 0 6px; }
.tile { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:12px 14px; }
.tile b { display:block; font-size:1.3rem; font-weight:650; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }
.tile span, .tile small { color:var(--soft); font-size:.84rem; } .tile small { display:block; }
.good { color:var(--good); } .bad { color:var(--bad); }
.note { border-left:4px solid var(--rule); padding:6px 14px; background:var(--card); border-radius:0 8px 8px 0; margin:8px 0; }
.note.bad { border-color:var(--bad); color:inherit; } .note.good { border-color:var(--good); color:inherit; }
figure { margin:12px 0; }
figcaption { font-size:.88rem; color:var(--soft); margin-bottom:4px; } figcaption b { color:var(--ink); }
.shot { background:#fff; border:1px solid var(--rule); border-radius:10px; padding:4px; overflow-x:auto; }
.shot img { display:block; width:100%; min-width:640px; height:auto; }
.chart { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:12px 12px 6px; }
.charts { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr)); gap:0 14px; }
svg { width:100%; height:auto; display:block; } svg text { font-size:14px; fill:var(--soft); }
.charts svg text { font-size:24px; }
.grid { stroke:var(--rule); } svg path { fill:none; stroke:var(--k); stroke-width:2; stroke-linejoin:round; }
svg path.faint { opacity:.28; stroke-width:1.2; } svg path.dashed { stroke-dasharray:6 5; } .dot { fill:var(--k); }
.key { display:inline-flex; align-items:center; margin-left:14px; white-space:nowrap; }
.key i { width:18px; height:0; border-top:3px solid var(--k); margin-right:6px; } .key i.faint { opacity:.35; }
.key i.dashed { border-top-style:dashed; }
h3 { font-size:1rem; margin:20px 0 8px; }
.strip div { display:flex; align-items:center; gap:8px; min-width:560px; margin:2px 0; }
.strip span { flex:0 0 72px; font-size:.8rem; color:#4b5563; text-align:right; position:sticky;
  left:-4px; background:#fff; padding-right:6px; }
.strip img { flex:1; min-width:0; width:0; }
.map svg { max-width:560px; margin:0 auto; } .map circle { fill:var(--k,var(--c1)); fill-opacity:.72; }
.keys { display:flex; flex-wrap:wrap; gap:2px 14px; margin:8px 0 4px; font-size:.88rem; } .keys .key { margin:0; }
.key i.round { width:11px; height:11px; border:0; border-radius:50%; background:var(--k); }
.p0 { --k:var(--p0); } .p1 { --k:var(--p1); } .p2 { --k:var(--p2); } .p3 { --k:var(--p3); }
.p4 { --k:var(--p4); } .p5 { --k:var(--p5); } .p6 { --k:var(--p6); } .p7 { --k:var(--p7); }
.p8 { --k:var(--p8); } .p9 { --k:var(--p9); } .p10 { --k:var(--p10); } .p11 { --k:var(--p11); }
.scroll { overflow-x:auto; } .rows td, .rows th { width:auto; white-space:nowrap; padding:5px 14px 5px 0; text-align:right;
  font-variant-numeric:tabular-nums; } .rows th { font-weight:600; color:var(--soft); }
.rows td:first-child, .rows th:first-child { text-align:left; }
table { border-collapse:collapse; width:100%; font-size:.92rem; } td { padding:5px 10px 5px 0; vertical-align:top; }
tr + tr td { border-top:1px solid var(--rule); } td:first-child { color:var(--soft); white-space:nowrap; width:1%; }
td:last-child { overflow-wrap:anywhere; }
pre { background:var(--code); padding:12px 14px; border-radius:8px; overflow-x:auto; font-size:.86rem; line-height:1.45; }
details { background:var(--card); border:1px solid var(--rule); border-radius:10px; padding:10px 14px; margin:10px 0; }
summary { cursor:pointer; font-weight:600; }
@media (max-width:560px) { main { padding:18px 12px 40px; } h1 { font-size:1.35rem; } svg text { font-size:24px; }
  .tiles { grid-template-columns:1fr 1fr; gap:8px; } .tile b { font-size:1.1rem; } }
@media print { details { display:block; } }
"""


def page(title: str, body: str) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, body: str) -> str:
    """A heading and what is under it; nothing when that is empty."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """Label, value and remark each; tiles without a value are left out."""
    cells = []
    for label, value, remark in items:
        small = f"<small>{escape(remark)}</small>" if remark else ""
        cells += [f'<div class="tile"><span>{escape(label)}</span><b>{escape(value)}</b>{small}</div>'] if value else []
    return f'<div class="tiles">{"".join(cells)}</div>' if cells else ""


def table(rows: Mapping[str, Any]) -> str:
    """Key and value each."""
    cells = "".join(f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
    return f"<table>{cells}</table>" if cells else ""


def grid_table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> str:
    """Columns under a header, wide ones scroll inside their own box."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    named = f"<p>{escape(title)}</p>" if title else ""
    return f'{named}<div class="scroll"><table class="rows"><tr>{top}</tr>{body}</table></div>'


def note(text: str, kind: str = "") -> str:
    """A paragraph with a coloured edge: good, bad or plain."""
    return f'<p class="note {kind}">{escape(text)}</p>'


def code(text: str) -> str:
    """Preformatted text."""
    return f"<pre>{escape(text)}</pre>"


def details(title: str, body: str) -> str:
    """A part that unfolds."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>" if body else ""

"""Small pieces of a self-contained HTML page: style, tables, figures. Nothing is fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from aqreanalysis.evaluation.pictures.style import Picture

#: Dark on white, one column on a phone and two on a screen, no figure or row torn apart on paper.
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #fff }
main { max-width: 76em; margin: 0 auto; padding: 1em }
h1 { line-height: 1.2 } h2 { margin-top: 2.2em; border-top: 2px solid #444; padding-top: .5em } h3 { margin-top: 1.6em }
a { color: #0b4f8a } .note { border-left: 4px solid #b98900; padding: .2em .8em; background: #fdf6e0 }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: .8em 0; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding: .3em 0 }
td, th { padding: .22em .7em; text-align: right; white-space: nowrap } th { border-bottom: 2px solid #777 }
th[scope=row], th.text { text-align: left; font-weight: inherit } thead th { font-weight: 600 }
tbody th { border: 0 } tbody tr:nth-child(even) { background: #f4f4f4 } tr.model { font-weight: 700 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 33em), 1fr)); gap: 1em 2em }
figure { margin: 0 } figcaption { font-size: .92em; color: #333 } img { max-width: 100%; height: auto }
summary { cursor: pointer; padding: .3em 0 } code { font-size: .95em }
@media (max-width: 40em) { body { font-size: 15px } td, th { padding: .2em .45em } }
@media print {
  body { font-size: 10pt } main { max-width: none; padding: 0 } h2 { break-before: page } a { color: inherit }
  figure, tr { break-inside: avoid } .wide { overflow: visible } td, th { padding: .1em .35em; font-size: 8.5pt }
  .figures { grid-template-columns: 1fr 1fr; gap: .6em 1em } tbody tr:nth-child(even) { background: none }
}
"""
#: Paper has nothing to click on: what is folded on the screen is opened before printing.
SCRIPT = "addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(d => { d.open = true }));"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, strong: str = "") -> str:
    """Return a table whose first `left` columns are text; rows with a cell equal to `strong` are set in bold."""
    head = "".join(f'<th scope="col"{_text(i, left)}>{escape(c)}</th>' for i, c in enumerate(header))
    lines = [f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>']
    for row in rows:
        cells = "".join(
            f'<th scope="row">{escape(c)}</th>' if i < left else f"<td>{escape(c)}</td>" for i, c in enumerate(row)
        )
        mark = ' class="model"' if strong and strong in row else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def figure(picture: Picture) -> str:
    """Return a picture with its words, the PNG inside."""
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(picture.alt)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def figures(pictures: Sequence[Picture]) -> str:
    """Return pictures side by side where there is room, below each other where not; nothing for none."""
    return "\n".join(['<div class="figures">', *map(figure, pictures), "</div>"]) if pictures else ""


def folded(summary: str, content: str) -> str:
    """Return `content` behind a line that opens it; open on paper."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text, of class `kind` if given."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>"


def _text(column: int, left: int) -> str:
    return ' class="text"' if column < left else ""

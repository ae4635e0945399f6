"""The report's page: HTML that carries everything it shows and asks no network for anything.

Elements are made by :mod:`circuitseer_core.markup`, which escapes every text. A content security
policy in the page itself forbids every request, so that not even a hostile label could make one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from circuitseer_core.figures.style import DARK, LIGHT, Theme
from circuitseer_core.markup import Html, join, tag, text

if TYPE_CHECKING:
    import plotly.graph_objects as go

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'"
)


class Figures:
    """Collects figures in both themes; ``add`` returns the place where one is drawn."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, str]] = {}

    def add(self, light: go.Figure, dark: go.Figure, caption: str) -> Html:
        """A figure with its caption; ``caption`` is also its text for those who cannot see it."""
        key = f"figure-{len(self._kept) + 1}"
        self._kept[key] = {"light": light.to_json(), "dark": dark.to_json()}
        height = int(light.layout.height or 360)
        place = tag(
            "div",
            id=key,
            class_="plot",
            style=f"min-height:{height}px",
            role="img",
            aria_label=caption,
        )
        return tag("figure", place, tag("figcaption", caption))

    def scripts(self) -> Html:
        """The library, the figures' data and the code that draws them; empty without figures."""
        if not self._kept:
            return Html("")
        from plotly.offline import get_plotlyjs

        entries = (
            f"{json.dumps(key)}:{{{','.join(f'{json.dumps(t)}:{f}' for t, f in both.items())}}}"
            for key, both in self._kept.items()
        )
        # With < escaped, no string in the data can close the script element.
        data = ("{" + ",".join(entries) + "}").replace("<", "\\u003c")
        return Html(
            f"<script>{get_plotlyjs()}</script>\n"
            f'<script type="application/json" id="figures-data">{data}</script>\n'
            f"<script>{_DRAW}</script>"
        )


def page(title: str, body: Sequence[object], figures: Figures) -> str:
    """The whole file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{_colours()}{_STYLE}</style>\n</head>\n<body>\n"
        f"<main>{join(body)}</main>\n{figures.scripts()}\n</body>\n</html>\n"
    )


def _colours() -> str:
    dark = _variables(DARK)
    return (
        f":root{{{_variables(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def _variables(theme: Theme) -> str:
    names: Mapping[str, str] = {
        "paper": theme.paper,
        "ink": theme.ink,
        "muted": theme.muted,
        "faint": theme.faint,
        "grid": theme.grid,
        "accent": theme.accent,
        "warn": theme.categorical[1],
        "good": theme.categorical[2],
    }
    return "".join(f"--{name}:{colour};" for name, colour in names.items())


_STYLE = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
 font:15px/1.55 Inter,system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1000px;margin:0 auto;padding:40px 24px 80px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:18px;margin:48px 0 12px;font-weight:600}
h3{font-size:15px;margin:24px 0 6px;font-weight:600}
p{margin:0 0 10px;max-width:76ch}
.muted,figcaption,dt,th{color:var(--muted)}
figure{margin:16px 0 28px}
figcaption{font-size:13px;max-width:84ch;margin-top:6px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:24px 0}
.tile{border:1px solid var(--grid);border-radius:6px;padding:12px 14px}
.tile b{display:block;font-size:22px;line-height:1.3;font-weight:550;overflow-wrap:anywhere}
.tile span{color:var(--muted);font-size:13px}
.finding{border-left:3px solid var(--faint);padding:2px 0 2px 14px;margin:0 0 14px}
.finding.warn{border-color:var(--warn)}
.finding.good{border-color:var(--good)}
.finding b{font-weight:600}
.finding .word{color:var(--muted);font-size:13px;margin-left:8px}
.finding p{margin:2px 0 0}
.scroll{overflow-x:auto;margin:10px 0 20px}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th{font-weight:500;text-align:left;vertical-align:bottom}
th,td{padding:5px 18px 5px 0;border-bottom:1px solid var(--grid)}
.number{text-align:right;white-space:nowrap}
dl{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:4px 20px;
 margin:10px 0 20px;font-size:14px}
dd{margin:0;overflow-wrap:anywhere}
pre,code{font:12.5px/1.6 "JetBrains Mono",ui-monospace,Menlo,Consolas,monospace}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--grid);border-radius:6px;
 padding:12px 14px;margin:10px 0 20px}
.plot{width:100%}
footer{margin-top:56px;padding-top:14px;border-top:1px solid var(--grid);color:var(--muted);
 font-size:13px}
@media (max-width:600px){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:6px}}
@media print{
 @page{margin:16mm}
 body{font-size:11pt}
 main{max-width:none;padding:0}
 figure,.finding,.tile,tr,pre{break-inside:avoid}
 h2,h3{break-after:avoid}
 .modebar{display:none!important}
}
"""

_DRAW = """
(() => {
  const figures = JSON.parse(document.getElementById("figures-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = {responsive: true, displaylogo: false, doubleClick: "reset",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"]};
  const draw = (theme, width) => {
    for (const [key, both] of Object.entries(figures)) {
      const figure = both[theme];
      const layout = {...figure.layout, width: width, autosize: !width};
      const options = {...config, toImageButtonOptions: {format: "svg", filename: key}};
      Plotly.react(key, figure.data, layout, options);
    }
  };
  const screen = () => draw(dark.matches ? "dark" : "light");
  screen();
  dark.addEventListener("change", screen);
  addEventListener("beforeprint", () => draw("light", 660));
  addEventListener("afterprint", screen);
})();
"""

"""Buttons that save a plotly figure on the page as SVG or PNG.

Plotly draws images in the browser, through the camera button of its toolbar, in one format per
figure. These buttons set the format on the drawn figure and press the camera, so that the file is
exactly what is on the screen and no image renderer is needed on the server.
"""

from __future__ import annotations

import streamlit as st

_HTML = """
<div class="row">
  <button type="button" data-format="svg">SVG</button>
  <button type="button" data-format="png">PNG</button>
</div>
"""

_CSS = """
.row { display: flex; gap: 8px; padding: 2px; }
button { flex: 1; font: 500 0.875rem var(--st-font); color: var(--st-text-color);
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); padding: 6px 14px; cursor: pointer; }
button:hover, button:focus-visible { border-color: var(--st-primary-color);
  color: var(--st-primary-color); outline: none; }
"""

_JS = """
export default function (component) {
  const { parentElement, data } = component;
  const press = (event) => {
    const format = event.target.dataset.format;
    const plot = document.querySelector(`.st-key-${data.figure} .js-plotly-plot`);
    if (!format || !plot || !plot._context) return;
    plot._context.toImageButtonOptions = { ...plot._context.toImageButtonOptions, format };
    const camera = plot.querySelector('.modebar-btn[data-title*="ownload"]');
    if (!camera) return;
    // Any click outside the menu closes it: the camera's is not let out, and the one on the link
    // that plotly makes for the file is stopped on its way (the download itself goes on).
    const quiet = (click) => {
      if (!click.target.hasAttribute || !click.target.hasAttribute('download')) return;
      click.stopPropagation();
      window.removeEventListener('click', quiet, true);
    };
    window.addEventListener('click', quiet, true);
    camera.dispatchEvent(new MouseEvent('click', { bubbles: false }));
  };
  const row = parentElement.querySelector('.row');
  row.addEventListener('click', press);
  return () => row.removeEventListener('click', press);
}
"""

_component = st.components.v2.component("image_buttons", html=_HTML, css=_CSS, js=_JS)


def image_buttons(figure: str, *, key: str) -> None:
    """SVG and PNG buttons for the plotly figure inside the container with key ``figure``."""
    _component(key=key, data={"figure": figure})

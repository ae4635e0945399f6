"""Press a button of the page from the script: once, when what it needs has become ready.

A download can only be started by the browser. Where it has to wait for a job, the person's own
click is long over by the time there is a file; this presses the download button in their place.
"""

from __future__ import annotations

import time

import streamlit as st

_JS = """
export default function ({ data }) {
  const done = (window.circuitseerClicks ??= new Set())
  if (done.has(data.token)) return
  done.add(data.token)
  const press = (left) => {
    const button = document.querySelector(`.st-key-${data.button} button:not([disabled])`)
    if (button) button.click()
    else if (left > 0) setTimeout(() => press(left - 1), 100)
  }
  press(50)
}
"""

_component = st.components.v2.component("click_once", html="<span></span>", js=_JS)


def click_once(button: str, *, key: str) -> None:
    """Press the button with this key, as soon as it is drawn; later script runs do not."""
    _component(key=key, data={"button": button, "token": time.time_ns()}, height=1)

"""The app's front door: page registry, look and run picker. All else is in pages/ and ui/."""

import streamlit as st

from ui import shell

st.set_page_config(page_title="CircuitSeer", page_icon="assets/icon.svg", layout="wide")
page = shell.enter()
page.run()

"""The app's front door, twice: the server that Streamlit starts, the script it runs for a page."""

import streamlit as st

from ui import shell
from ui.server import lifespan as server

app = st.App(__file__, lifespan=server.ready, middleware=server.MIDDLEWARE)

if __name__ == "__main__":
    shell.run_page(shell.enter())

"""The app's front door, twice: the server that Streamlit starts, the script it runs for a page."""

import streamlit as st

from ui import shell
from ui.runs import job_strip
from ui.server import lifespan

app = st.App(__file__, lifespan=lifespan.ready, middleware=lifespan.MIDDLEWARE)

if __name__ == "__main__":
    page = shell.enter()
    shell.in_one_line(lambda: job_strip.show(page.url_path), "broken_state_strip")
    shell.run_page(page)

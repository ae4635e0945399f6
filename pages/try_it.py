"""Try it: ablate heads on one text and see at once what changes."""

import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.installation import HOME
from ui.shell import folding_columns, page_header, require_run
from ui.try_it import compute, results
from ui.try_it.heads import choose_ablation, choose_heads
from ui.try_it.text import choose_text
from ui.widgets import live_model

page_header("Try it", "Ablate heads on one text and see what it does to the loss and the writing.")
run = require_run("detect")
st.html(HOME / "ui" / "pages.css")

left, right = folding_columns([1, 1], "try", gap="large")
with left:
    text = choose_text(run)
    how = choose_ablation(run)
    live_model.ask(run, "try", "Load the model and try")
    slot = st.container()
with right:
    heads = choose_heads(run)
if not live_model.asked(run):
    with slot:
        st.caption(
            "The model runs in this process. Once it is loaded, every change is answered without "
            "another click."
        )
    st.stop()
if heads is None or not text.prompt:
    st.caption("Type a prompt, or pick a sample." if not text.prompt else "")
    st.stop()
try:
    with slot, st.spinner("Running the model on this text …"):
        tried = compute.losses(run, text, heads, how)
    with slot:
        live_model.memory_line("try")
        results.numbers(tried, heads)
    results.tokens(tried)
    if how.most:
        results.continuation(run, text, heads, how)
    results.attention(run, tried, heads)
except UserError as error:
    live_model.forget()
    st.text(str(error))

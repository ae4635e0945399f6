"""Which sample is open, kept in the session and the URL."""

from __future__ import annotations

import streamlit as st


def opened() -> str | None:
    """The id of the sample that the URL names."""
    return st.query_params.get("sample")


def open_sample(sample_id: str) -> None:
    """Put a sample into the URL, so that the view can be linked to (a callback)."""
    st.query_params["sample"] = sample_id
    st.session_state["sample_id"] = (st.session_state.get("run_key"), sample_id)


def close() -> None:
    """Forget the sample in the URL (a callback)."""
    st.query_params.pop("sample", None)
    st.session_state.pop("sample_id", None)


def restore() -> None:
    """Back on this page without a sample in the URL: open the one that was open before."""
    last = st.session_state.get("sample_id")
    if "sample" not in st.query_params and last and last[0] == st.session_state.get("run_key"):
        st.query_params["sample"] = last[1]

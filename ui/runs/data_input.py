"""Choosing datasets: where they come from, and a look at what was recognised before any work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from circuitseer_core.data.corpus import Corpus, Preview
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.uploads import store
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import runs_home
from ui.widgets.markdown import inline, literal

KINDS = {
    "demo": "Embedded demo data",
    "files": "Files or folders",
    "hub": "Hugging Face Hub",
    "upload": "Upload",
}
SAME = "same"
FORMATS = ["jsonl", "json", "csv", "parquet"]


def choose_data(label: str, key: str, *, help_text: str, same_as: Sequence[str] = ()) -> list[str]:
    """Widgets for one or several DATA specs; returns them, empty while nothing is named.

    ``same_as``: specs chosen above, which may be taken here as well without naming (or uploading)
    them again.
    """
    kinds = KINDS | ({SAME: "Same as the probe"} if same_as else {})
    if st.session_state.get(f"{key}_kind") not in {None, *kinds}:
        del st.session_state[f"{key}_kind"]
    kind = st.segmented_control(
        label,
        list(kinds),
        default="demo",
        required=True,
        format_func=kinds.__getitem__,
        key=f"{key}_kind",
        persist_state="session",
        help=help_text,
    )
    if kind == "demo":
        return ["demo"]
    if kind == SAME:
        return list(same_as)
    if kind == "upload":
        return _uploaded(key)
    hub = kind == "hub"
    text = st.text_area(
        "Datasets, one a line",
        placeholder="openai/gsm8k:main:train" if hub else "math=/data/problems.jsonl",
        key=f"{key}_{kind}",
        persist_state="session",
        height=80,
        help="dataset[:config][:split]; put name= before it to name the source."
        if hub
        else "A .jsonl, .json, .csv or .parquet file, or a folder of them; name= before it "
        "names the source.",
    )
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return [_as_hub(line) for line in lines] if hub else lines


def _as_hub(line: str) -> str:
    name, equals, dataset = line.rpartition("=")
    return f"{name}{equals}{dataset if dataset.startswith('hf:') else 'hf:' + dataset}"


def _uploaded(key: str) -> list[str]:
    """Uploaded files, kept under the runs folder so that a job can read them later."""
    files = st.file_uploader("Files", FORMATS, accept_multiple_files=True, key=f"{key}_upload")
    remembered = f"{key}_uploaded"
    if files:
        try:
            stored = [kept_upload(file.name, file.getbuffer()) for file in files]
        except UserError as error:
            st.error(literal(error), icon=":material/error:")
            return []
        st.session_state[remembered] = stored
    kept: list[str] = st.session_state.get(remembered, [])
    if kept and not files:
        st.caption("Uploaded before: " + inline(", ".join(s.partition("=")[0] for s in kept)))
    return kept


def kept_upload(name: str, content: bytes | memoryview) -> str:
    """Keep an uploaded file (data/uploads.py); its DATA spec, whose source is the file's own name.

    Raises UserError where it is too large.
    """
    path = store(runs_home() / "uploads", name, content)
    source = path.stem.replace("=", "-").replace(":", "-")
    return f"{source}={path}"


def choose_fields(key: str) -> dict[str, str]:
    """Explicit field names, for data whose layout is not recognised."""
    with st.expander("Field names", icon=":material/data_object:", key=f"{key}_fields"):
        st.caption("Recognised by themselves in most datasets. Fill in only what was not.")
        fields: dict[str, str] = {}
        for column, name in zip(st.columns(4), ("prompt", "response", "source", "id"), strict=True):
            value = column.text_input(
                name.capitalize(), key=f"{key}_{name}_field", persist_state="session"
            )
            if value:
                fields[f"{name}_field"] = value.strip()
        return fields


def preview(specs: list[str], fields: dict[str, str], key: str, *, responses: bool) -> bool:
    """Show what the specs hold; returns whether a run could start on them."""
    if not specs:
        st.caption("Name at least one dataset.")
        return False
    if any("hf:" in spec for spec in specs) and not st.toggle(
        "Fetch a preview from the Hub", key=f"{key}_fetch", persist_state="session"
    ):
        return True
    try:
        seen = _preview(tuple(specs), tuple(sorted(fields.items())), _stamps(specs))
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return False
    _show(seen, key)
    missing = sum(sample.response is None for sample in seen.samples)
    if responses and seen.samples and missing == len(seen.samples):
        st.error("None of these rows has a response, and the probe needs them.")
        return False
    return bool(seen.samples)


def _stamps(specs: list[str]) -> tuple[float, ...]:
    paths = [Path(spec.rpartition("=")[2]) for spec in specs]
    return tuple(path.stat().st_mtime for path in paths if path.exists())


@st.cache_data(max_entries=32, show_spinner="Looking at the data …")
def _preview(
    specs: tuple[str, ...], fields: tuple[tuple[str, str], ...], stamps: tuple[float, ...]
) -> Preview:
    named = {name.removesuffix("_field"): value for name, value in fields}
    return Corpus(list(specs), Fields(**named)).preview(12)


def _show(seen: Preview, key: str) -> None:
    """Row count, recognised layouts, sources, first rows, rejects with their reasons."""
    sources = ", ".join(list(seen.sources)[:6]) + (" …" if len(seen.sources) > 6 else "")
    layouts = "; ".join(dict.fromkeys(file.layout for file in seen.files))
    st.markdown(f"**{seen.rows:,} rows** from {len(seen.sources)} sources: {inline(sources)}")
    st.caption(f"Read as: {inline(layouts)}")
    rows = pd.DataFrame(
        {
            "id": [s.id for s in seen.samples],
            "source": [s.source for s in seen.samples],
            "prompt": [s.prompt[:300] for s in seen.samples],
            "response": [(s.response or "")[:300] for s in seen.samples],
            "other fields": [json.dumps(s.original, default=str)[:200] for s in seen.samples],
        }
    )
    st.dataframe(rows, hide_index=True, height=212, key=f"{key}_preview")
    if seen.rejects:
        reasons = pd.Series([reject.reason for reject in seen.rejects]).value_counts()
        words = "; ".join(f"{count} × {reason}" for reason, count in reasons.items())
        st.warning(
            f"Among the first rows, {len(seen.rejects)} would be rejected: "
            f"{inline(words)}. "
            f"The first is {inline(seen.rejects[0].where)}.",
            icon=":material/filter_alt_off:",
        )

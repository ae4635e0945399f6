"""Choosing datasets: where they come from, and a look at what was recognised before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from circuitseer_core.data.compression import CODECS, bare
from circuitseer_core.data.corpus import Corpus, Preview
from circuitseer_core.data.fields import FIRST, ITEMS, Fields, response_item
from circuitseer_core.data.specs import (
    FORMATS,
    files_below,
    is_hub,
    is_remote,
    local_paths,
    source_and_place,
)
from circuitseer_core.data.survey import Survey, survey
from circuitseer_core.data.uploads import store
from circuitseer_core.errors import UserError
from circuitseer_core.figures.lengths import length_bars
from circuitseer_core.runs.folder import runs_home
from circuitseer_core.wording import count
from ui.runs.probe_share import in_tokens
from ui.shell import folding_columns
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline, literal

KINDS = {
    "demo": "Embedded demo data",
    "files": "Files or folders",
    "hub": "Hugging Face Hub",
    "upload": "Upload",
}
SAME = "same"
UPLOADS = [ending.removeprefix(".") for ending in (*FORMATS, *CODECS)]
MOST_ROWS = 20_000
"""Rows that a preview looks at; the command ``data`` looks at all."""


def choose_data(
    label: str,
    key: str,
    *,
    help_text: str,
    same_as: Sequence[str] = (),
    kinds: Sequence[str] = tuple(KINDS),
) -> list[str]:
    """Widgets for one or several DATA specs; returns them, empty while nothing is named.

    ``same_as``: specs chosen above, which may be taken here as well without naming (or uploading)
    them again. ``kinds``: where data may come from, of KINDS, the first one chosen.
    """
    places = {kind: KINDS[kind] for kind in kinds} | (
        {SAME: "Same as the probe"} if same_as else {}
    )
    if st.session_state.get(f"{key}_kind") not in {None, *places}:
        del st.session_state[f"{key}_kind"]
    kind = st.segmented_control(
        label,
        list(places),
        default=kinds[0],
        required=True,
        format_func=places.__getitem__,
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
        help="dataset[@revision][:config][:split]; name= before it names the source, hf-stream: "
        "reads without downloading."
        if hub
        else "A .jsonl, .json, .csv, .tsv, .parquet, .arrow or .feather file (text also .gz or "
        ".zst), a folder of them, a pattern with *, or an address such as s3://…; name= before it "
        "names the source.",
    )
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return [_as_hub(line) for line in lines] if hub else lines


def _as_hub(line: str) -> str:
    if is_hub(line):
        return line
    name, dataset = source_and_place(line)
    return f"{f'{name}=' if name else ''}hf:{dataset}"


def _uploaded(key: str) -> list[str]:
    """Uploaded files, kept under the runs folder so that a job can read them later."""
    remembered = f"{key}_uploaded"
    files = st.file_uploader(
        "Files", UPLOADS, accept_multiple_files=True, key=f"{key}_upload",
        on_change=st.session_state.pop, args=[remembered, None],
    )  # fmt: skip
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
    source = bare(path).stem.replace("=", "-").replace(":", "-")
    return f"{source}={path}"


def choose_fields(key: str, specs: Sequence[str]) -> dict[str, str]:
    """Explicit field names, for data whose layout is not recognised; the embedded data's is."""
    if list(specs) == ["demo"]:
        return {}
    with st.expander("Field names", icon=":material/data_object:", key=f"{key}_fields"):
        st.caption("Recognised by themselves in most datasets. Fill in only what was not.")
        fields: dict[str, str] = {}
        names = ("prompt", "response", "source", "id")
        for column, name in zip(folding_columns(4, f"{key}_fields"), names, strict=True):
            value = column.text_input(
                name.capitalize(), key=f"{key}_{name}_field", persist_state="session"
            )
            if value:
                fields[f"{name}_field"] = value.strip()
        items = st.text_input(
            "Item of a response that is a list", placeholder=FIRST, key=f"{key}_response_items",
            persist_state="session", width=260, help=f"{ITEMS.capitalize()}.",
        )  # fmt: skip
        if items and (items := items.strip()) != FIRST:
            try:
                fields["response_items"] = response_item(items)
            except ValueError:
                st.error(f"Give {ITEMS}.", icon=":material/error:")
        return fields


def preview(
    specs: list[str],
    fields: dict[str, str],
    key: str,
    *,
    responses: bool,
    model: str | None = None,
) -> bool:
    """Show what the specs hold; returns whether a run could start on them.

    ``model``: in whose tokens it can be said what could serve in a probe.
    """
    if not specs:
        st.caption("Name at least one dataset.")
        return False
    if any(map(is_remote, specs)) and not st.toggle(
        "Fetch a preview from there", key=f"{key}_fetch", persist_state="session"
    ):
        return True
    stamps = _stamps(specs)
    try:
        seen, survey = _preview(tuple(specs), tuple(sorted(fields.items())), stamps)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return False
    _show(seen, survey, key)
    counted = in_tokens(specs, fields, stamps, model, key) if model and survey.samples else None
    _lengths(counted or survey, key)
    _rejects(survey)
    if responses and survey.samples and not survey.with_response:
        st.error("None of these rows has a response, and the probe needs them.")
        return False
    return survey.samples > 0


def rows_of(specs: Sequence[str], fields: dict[str, str]) -> int | None:
    """How many rows data has that was looked at; None where it lies elsewhere or cannot be read."""
    if any(map(is_remote, specs)):
        return None
    try:
        return _preview(tuple(specs), tuple(sorted(fields.items())), _stamps(list(specs)))[1].rows
    except UserError:
        return None


def _stamps(specs: list[str]) -> tuple[float, ...]:
    """When files that specs name were last written, those of folders and patterns too."""
    stamps = []
    for spec in specs:
        for path in local_paths(spec):
            inside = files_below(path) if os.path.isdir(path) else [path]
            for file in sorted(inside):
                with suppress(OSError):  # gone by now, or a link to nothing
                    stamps.append(os.stat(file).st_mtime)
    return tuple(stamps)


@st.cache_data(max_entries=32, show_spinner="Looking at the data …")
def _preview(
    specs: tuple[str, ...], fields: tuple[tuple[str, str], ...], stamps: tuple[float, ...]
) -> tuple[Preview, Survey]:
    named = {name.removesuffix("_field"): value for name, value in fields}
    corpus = Corpus(list(specs), Fields(**named))
    return corpus.preview(12), survey(corpus, limit=MOST_ROWS)


def _show(seen: Preview, survey: Survey, key: str) -> None:
    """Row count, recognised layouts, sources, what the rows hold, first rows, rejects by reason."""
    names = list(survey.sources)
    sources = ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
    st.markdown(
        f"**{count(survey.rows, 'row')}** from {count(len(names), 'source')}: {inline(sources)}"
    )
    ways = dict.fromkeys(f"{file.layout} ({file.format})" for file in survey.files)
    st.caption(f"Read as: {inline('; '.join(ways))}")
    looked = "" if survey.read == survey.rows else f"Of the first {survey.read:,} rows: "
    st.caption(
        f"{looked}{count(survey.samples, 'sample')}, {count(survey.rejects, 'reject')}; "
        f"{survey.duplicates:,} repeat a prompt; {survey.with_response:,} have a response"
    )
    rows = pd.DataFrame(
        {
            "id": [s.id for s in seen.samples],
            "source": [s.source for s in seen.samples],
            "prompt": [s.prompt[:300] for s in seen.samples],
            "response": [(s.response or "")[:300] for s in seen.samples],
            "other fields": [json.dumps(s.original, default=str)[:200] for s in seen.samples],
        }
    )
    st.dataframe(rows, hide_index=True, height=222, key=f"{key}_preview")


def _rejects(survey: Survey) -> None:
    if survey.reasons:
        words = "; ".join(f"{each.rows:,} × {each.reason}" for each in survey.reasons[:6])
        st.warning(
            f"{count(survey.rejects, 'row')} would be rejected: {inline(words)}. The first is "
            f"{inline(survey.reasons[0].first)}.",
            icon=":material/filter_alt_off:",
        )


def _lengths(survey: Survey, key: str) -> None:
    """How many prompts there are of which length, folded away."""
    if not survey.lengths:
        return
    box = st.expander("Lengths of the prompts", key=f"{key}_lengths", on_change="rerun")
    if box.open:
        with box:
            _length_figure(survey, key)


def _length_figure(survey: Survey, key: str) -> None:
    bins = [f"{each.low:,}–{each.high:,}" for each in survey.lengths]
    counts = [each.prompts for each in survey.lengths]
    show_figure(
        length_bars(bins, counts, theme(), unit=survey.length_unit),
        f"{key}_length_bars",
        pd.DataFrame({survey.length_unit: bins, "rows": counts}),
        alt="Rows by length of the prompt",
    )

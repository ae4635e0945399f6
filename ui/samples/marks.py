"""What is marked by eye on a sample: pinned, dropped, tagged."""

from __future__ import annotations

import streamlit as st

from circuitseer_core.browse.sample import ScoredSample
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.review import ReviewState
from ui import judgements
from ui.widgets.markdown import inline


def mark_buttons(run: Run, sample: ScoredSample, judged: ReviewState, *, key: str) -> None:
    """Pin, drop and tag, as toggles that write to the run folder at once."""
    if not judgements.writable(run):
        judgements.copy_to(run, "Copy to judge", "Pins, drops and tags need a run of your own.")
        return
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", width="content"):
        for word, icon, ids in (
            ("pin", "keep", judged.pins),
            ("drop", "block", judged.drops),
        ):
            on = sample.id in ids
            st.button(
                {"pin": ("Pin", "Pinned"), "drop": ("Drop", "Dropped")}[word][on],
                icon=f":material/{icon}:",
                type="primary" if on else "secondary",
                key=f"{word}_{key}",
                help={"pin": "Always in the subset", "drop": "Never in the subset"}[word],
                on_click=judgements.write,
                args=[run, {"kind": f"un{word}" if on else word, "id": sample.id}],
            )
        _tag_menu(run, sample.id, judged, key)


def _tag_menu(run: Run, sample_id: str, judged: ReviewState, key: str) -> None:
    tags = sorted(judged.tags.get(sample_id, ()))
    label = inline(", ".join(tags)) if tags else "Tag"
    with st.popover(label if len(label) < 32 else f"{len(tags)} tags", icon=":material/sell:"):
        known = sorted({tag for tags_of_one in judged.tags.values() for tag in tags_of_one})
        name = f"tag_{key}_{sample_id}"

        def save() -> None:
            chosen = set(st.session_state[name])
            for kind, changed in (("tag", chosen - set(tags)), ("untag", set(tags) - chosen)):
                for tag in sorted(changed):
                    judgements.write(run, {"kind": kind, "id": sample_id, "tag": tag})

        st.multiselect(
            "Tags of this sample",
            known,
            default=tags,
            accept_new_options=True,
            key=name,
            on_change=save,
            placeholder="Choose or type a tag",
        )

"""A run whose every text is hostile: nothing of it reaches Streamlit's Markdown unescaped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from streamlit.testing.v1 import AppTest

from tests.support.every_view import EXPANDERS, VIEWS, ask
from tests.support.hostile import AWAY, SNIPPETS, make_hostile
from tests.support.opened import APP

PLAIN = {"text", "code", "arrow_data_frame", "plotly_chart", "bidi_component", "exception"}
"""Elements that show what they get as it is (figures: tests/figures)."""
PLAIN_FIELDS = {
    "options", "default", "placeholder", "value", "url", "query_string", "id", "key", "set_value",
    "string_value", "raw_values", "element_id", "form_id", "page_script_hash", "page", "file_name",
    "user_key", "alt",
}  # fmt: skip
MORE: dict[str, list[dict[str, str]]] = {
    "export": [
        {
            "stratify": "equal", "stratify_by": "circuitseer_cluster", "near_duplicates": "0.8",
            "before_after": "Strata",
        }
    ]
}  # fmt: skip
"""Views that show what only some runs have."""
RAW = [begin + rest for begin, rest in SNIPPETS if begin != AWAY]


def raw_texts(message: Any, where: str) -> Iterator[str]:
    """Fields of a message (and of those in it) that hold markup as it is."""
    for field, value in message.ListFields():
        path = f"{where}.{field.name}"
        if field.name in PLAIN_FIELDS and where.split(".")[-1] != "button_group":
            continue
        for one in [value] if not hasattr(value, "append") else value:
            if field.type == FieldDescriptor.TYPE_MESSAGE and hasattr(one, "ListFields"):
                yield from raw_texts(one, path)
            elif isinstance(one, str) and any(raw in one for raw in RAW):
                yield f"{path}: {one[:80]}"


def elements_below(block: Any) -> Iterator[str]:
    """Every element below a block."""
    for child in block.children.values():
        if hasattr(child, "children"):
            if child.proto is not None:
                yield from raw_texts(child.proto, f"block {child.type}")
            yield from elements_below(child)
        elif child.type not in PLAIN and child.proto is not None:
            yield from raw_texts(child.proto, child.type)


@pytest.mark.parametrize("page", list(VIEWS))
def test_no_markup_of_data_reaches_markdown(page: str, runs_home: Path) -> None:
    name = make_hostile(runs_home)
    for query in [*VIEWS[page], *MORE.get(page, [])]:
        app = AppTest.from_file(str(APP), default_timeout=240)
        app.query_params["run"] = name
        app.run()
        app.switch_page(f"pages/{page}.py")
        ask(app, query)
        for key in EXPANDERS:
            app.session_state[key] = True
        app.run()
        assert not app.exception, [e.value for e in app.exception]
        raw = [line for number in app._tree.children for line in elements_below(app._tree[number])]
        assert not raw, (query, raw)


def test_raw_markup_is_found() -> None:
    def script() -> None:
        import streamlit as st

        st.caption("**zzbold**")
        st.text_input("label", help=":red[zzred]")
        st.text("**zzbold**")

    app = AppTest.from_function(script).run()
    raw = [line for number in app._tree.children for line in elements_below(app._tree[number])]
    assert len(raw) == 2

"""One head on one sample: the live model is asked for, once, and agrees with the run."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.support.opened import open_page, settled, texts

PROBLEMS = [
    {"id": f"{i}", "question": f"Tom has {i} 🎉 and {2 * i} pears. How many in all?",
     "answer": f"He has {3 * i}.", "level": i % 3}
    for i in range(12)
]  # fmt: skip


@pytest.fixture
def scored(runs_home: Path, tmp_path: Path) -> Path:
    from circuitseer_core import detect, score
    from tests.support.tiny_models import save_tiny

    data = tmp_path / "toy.jsonl"
    data.write_text("\n".join(map(json.dumps, PROBLEMS)), encoding="utf-8")
    model = save_tiny(tmp_path / "model")
    detect(model=str(model), probe=[str(data)], run=runs_home / "tiny", probe_size=4)
    score(run=runs_home / "tiny", data=[f"toy={data}"], head_features=True)
    return runs_home / "tiny"


def test_one_head_is_shown_only_when_asked_for(scored: Path) -> None:
    page = open_page("samples", "tiny", sample="toy/3")
    assert "rank" in texts(page)
    page.segmented_control(key="token_colour").set_value("One head")
    settled(page.run())
    assert "The model computes it" in texts(page) and "Full colour" not in texts(page)
    assert "received from" not in texts(page), "bars of other heads than the one chosen"
    settled(page.button(key="live_open").click().run())
    assert "Full colour" in texts(page)
    assert "torch" in sys.modules
    settled(page.number_input(key="layer_open").set_value(0).run())
    assert "Full colour" in texts(page)


def test_bars_and_token_are_those_of_the_head_chosen(scored: Path) -> None:
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.scoring.inspection import inspect_sample

    def deviation(page: AppTest) -> str:
        return str(re.search(r"Standard deviation ([^,]+),", texts(page))[1])  # type: ignore[index]

    page = open_page("samples", "tiny", sample="toy/3")
    page.session_state["live_model"] = str(scored)
    page.session_state["token_open"] = ("toy/3", 0)
    settled(page.run())
    assert "from the scored heads" in texts(page)
    page.segmented_control(key="token_colour").set_value("One head")
    for layer, head in ((0, 1), (1, 3)):
        settled(page.run())
        page.number_input(key="layer_open").set_value(layer)
        page.number_input(key="head_open").set_value(head)
        settled(page.run())
        seen = inspect_sample(Run.open(scored), "toy/3", layer=layer, head=head)
        received = np.asarray(seen.profile, dtype=np.float64) * len(seen.profile)
        assert deviation(page) == f"{received.std():.3g}" and "from this head" in texts(page)
        assert f"({received[0]:.2f} × the mean" in texts(page)


def test_the_mean_over_the_scored_heads_is_the_stored_profile(scored: Path) -> None:
    from circuitseer_core.browse.spans import split_spans
    from circuitseer_core.browse.store import ScoreStore
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.scoring.inspection import inspect_sample

    run = Run.open(scored)
    sample = ScoreStore(run).sample("toy/3")
    seen = inspect_sample(run, "toy/3")
    assert np.abs(seen.profile - sample.profile).max() < 1e-3  # stored as float16
    spans = split_spans(sample.text, sample.token_starts, sample.special)
    assert "".join(label for label, special in zip(spans.labels, spans.special, strict=True)
                   if not special) == sample.text  # fmt: skip
    assert any("🎉" in label for label in spans.labels)


def test_a_heads_role_and_where_its_ablation_hurts(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from circuitseer_core.browse.readings import top_by_reading
    from circuitseer_core.browse.store import ScoreStore
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.scoring import head_roles
    from circuitseer_core.trial import text

    read: list[str] = []
    for module, name in ((head_roles, "head_roles"), (text, "probe_samples")):
        original = getattr(module, name)

        def counted(*args: object, name: str = name, original: Callable = original) -> object:
            read.append(name)
            return original(*args)

        monkeypatch.setattr(module, name, counted)
    page = open_page("heads", "tiny", layer="1", head="2")
    for key in ("head_role", "head_hurts", "heads_typed"):
        page.session_state[key] = True
    settled(page.run())
    assert '--heads "' in page.code[0].value
    assert "Needs the model" in texts(page) and "Means over" not in texts(page)
    assert "Of 12 rows that carry readings" in texts(page)
    top = top_by_reading(ScoreStore(Run.open(scored)), (1, 2), "first", 1)["id"].iloc[0]
    links = [
        link.proto for link in page.get("page_link") if "on the first token" in link.proto.label
    ]
    assert len(links) == 6 and links[0].label.startswith(top)
    assert f"sample={top}".replace("/", "%2F") in links[0].query_string
    settled(page.button(key="live_role").click().run())
    shares = next(t.value for t in page.dataframe if "attention on" in t.value.columns)
    assert shares["attention on"].tolist()[0] == "first token" and len(shares) == 5
    assert "12 of the scored texts" in texts(page) and "cut at 256 tokens" in texts(page)
    assert "**Tokens that receive most**, of 12 texts" in texts(page)
    labels = [link.proto.label for link in page.get("page_link")]
    assert labels.count("Open it in Samples") == 3
    assert texts(page).count("ΔL ") >= 3
    before = shares["share"].tolist()
    settled(page.number_input(key="head").set_value(0).run())
    shares = next(t.value for t in page.dataframe if "attention on" in t.value.columns)
    assert shares["share"].tolist() != before
    before = len(read)
    settled(page.run())
    assert len(read) == before, "kept"
    run = Run.open(scored)
    for file in (*run.score_parts(), run.probe_path):
        os.utime(file, (1, 1))  # as after another scoring, another detection
    settled(page.run())
    assert sorted(read[before:]) == ["head_roles", "probe_samples"]


def test_a_head_is_looked_at_anew_after_another_scoring(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.scoring import inspection

    looked: list[str] = []
    original = inspection.inspect_sample

    def counted(run: Run, sample: str, *args: object, **more: int) -> object:
        looked.append(sample)
        return original(run, sample, *args, **more)

    monkeypatch.setattr(inspection, "inspect_sample", counted)
    page = open_page("samples", "tiny", sample="toy/3")
    page.session_state["live_model"] = str(scored)
    settled(page.segmented_control(key="token_colour").set_value("One head").run())
    settled(page.run())
    assert looked == ["toy/3"]
    for part in Run.open(scored).score_parts():
        os.utime(part, (1, 1))
    settled(page.run())
    assert looked == ["toy/3"] * 2

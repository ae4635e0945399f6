"""The verbs of a notebook: all there, one kind of error, the command line's numbers."""

from __future__ import annotations

import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import circuitseer_core as cs
from circuitseer_core import api
from circuitseer_core.runs.folder import DEMO_RUN, Run
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.run_factory import make_run

VERBS = [name for name in cs.__all__ if name.islower()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A detected run of a tiny model."""
    return detected_run(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", questions(12))


def test_help_has_the_verbs_first() -> None:
    text = pydoc.plain(pydoc.render_doc(cs))
    contents = text.index("PACKAGE CONTENTS")
    for verb in VERBS:
        assert 0 < text.index(f"cs.{verb}(") < contents
        assert f"\n    {verb}(" in text[contents:], "and each has its own help"


def test_every_verb_has_a_docstring_and_stands_in_the_module() -> None:
    assert set(VERBS) <= set(api.__all__)
    for verb in VERBS:
        assert "UserError" in str(getattr(cs, verb).__doc__), verb
    with pytest.raises(AttributeError, match="no attribute 'detekt'"):
        cs.detekt  # noqa: B018


def test_packages_of_the_same_names_do_not_take_a_verbs_place() -> None:
    from circuitseer_core.arms import build
    from circuitseer_core.export import write
    from circuitseer_core.report import html

    assert callable(cs.export) and callable(cs.report) and callable(cs.arms)
    assert build.__name__ == "circuitseer_core.arms.build"
    assert write.__name__ == "circuitseer_core.export.write" and html.__name__.endswith("html")


@pytest.mark.parametrize(
    "call",
    [
        lambda: cs.load_run(None),  # type: ignore[arg-type]
        lambda: cs.load_run("/nowhere"),
        lambda: cs.detect(5, model="demo", probe="demo"),  # type: ignore[arg-type]
        lambda: cs.detect("x", model=5, probe="demo"),  # type: ignore[arg-type]
        lambda: cs.detect("x", model="demo", probe=5),  # type: ignore[arg-type]
        lambda: cs.detect("x", model="demo", probe="demo", contrast=5),
        lambda: cs.detect("x", model="demo", probe="demo", probe_size="many"),
        lambda: cs.score(DEMO_RUN, data=None),  # type: ignore[arg-type]
        lambda: cs.score(DEMO_RUN, data="demo", heads=[(1, 2, 3)]),
        lambda: cs.score(DEMO_RUN, data="demo", heads=None),
        lambda: cs.score(DEMO_RUN, data="demo", nam="x"),
        lambda: cs.select(5),  # type: ignore[arg-type]
        lambda: cs.select([5]),  # type: ignore[list-item]
        lambda: cs.select(DEMO_RUN, count="many"),  # type: ignore[arg-type]
        lambda: cs.select(DEMO_RUN, exclude=5),  # type: ignore[arg-type]
        lambda: cs.select(DEMO_RUN, scoring=5),  # type: ignore[arg-type]
        lambda: cs.select(DEMO_RUN, save=5),  # type: ignore[arg-type]
        lambda: cs.save_selection(DEMO_RUN, None, "x"),
        lambda: cs.export(DEMO_RUN, None),  # type: ignore[arg-type]
        lambda: cs.export(DEMO_RUN, "x.jsonl", selection=5),  # type: ignore[arg-type]
        lambda: cs.export(DEMO_RUN, "x.jsonl", format=5),  # type: ignore[arg-type]
        lambda: cs.verify(),
        lambda: cs.verify(5),  # type: ignore[arg-type]
        lambda: cs.validate(DEMO_RUN, None),  # type: ignore[arg-type]
        lambda: cs.validate(DEMO_RUN, "lenght"),
        lambda: cs.validate(DEMO_RUN, "length", nothing=5),
        lambda: cs.calibrate(DEMO_RUN, target=5),
        lambda: cs.report(DEMO_RUN, 5),  # type: ignore[arg-type]
        lambda: cs.inspect(DEMO_RUN, 5),  # type: ignore[arg-type]
        lambda: cs.inspect(DEMO_RUN, "x", heads=object()),
        lambda: cs.ablate(DEMO_RUN, None, data="demo"),
        lambda: cs.ablate(DEMO_RUN, [(0, 0)], data="demo", limit="all"),  # type: ignore[arg-type]
        lambda: cs.ablate(DEMO_RUN, [(999, 0)], data="demo"),
        lambda: cs.push_heads(DEMO_RUN, 5),  # type: ignore[arg-type]
        lambda: cs.pull_heads(5),  # type: ignore[arg-type]
        lambda: cs.pull_heads("owner"),
    ],
)
def test_wrong_arguments_are_one_line(call: Callable[[], Any]) -> None:
    with pytest.raises(cs.UserError) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_an_option_that_is_none_names_the_one_meant() -> None:
    with pytest.raises(cs.UserError, match="no option 'probesize': did you mean 'probe_size'"):
        cs.detect("x", model="demo", probe="demo", probesize=3)


def test_heads_as_pairs_rows_counts_and_text_are_the_same(run: Run, data: str) -> None:
    rows = run.heads().nsmallest(2, "rank")
    forms = [[(0, 0), (0, 1)], np.array([[0, 0], [0, 1]]), rows, 2, "0.0,0.1"]
    scores = [
        cs.score(run, data=data, heads=heads, name=f"form{i}", show=False)["variance"]
        for i, heads in enumerate(forms)
    ]
    assert all(run.scoring(f"form{i}").heads == [(0, 0), (0, 1)] for i in range(len(forms)))
    for score in scores:  # to the rounding of batches whose sizes are found by timing
        assert score.tolist() == pytest.approx(scores[0].tolist(), rel=1e-4)
    alone = cs.score(run, data=data, heads=[(0, 1)], name="alone", show=False)
    assert len(alone) and run.scoring("alone").heads == [(0, 1)], "no share of 0.1"
    assert cs.score(run, data=data, heads=[(0, 1)], name="alone", show=False).equals(alone)


def test_ablation_of_sets(run: Run, data: str) -> None:
    table = cs.ablate(run, [[(0, 0), (1, 3)], "1.2"], data=data, limit=6)
    assert table["heads"].tolist() == ["none", "0.0,1.3", "1.2"]
    assert table["n"].nunique() == 1 and table.loc[0, "delta_loss"] == 0
    single = cs.ablate(run, [(0, 0), (1, 3)], data=[data], limit=6)
    assert single.loc[1, "loss"] == pytest.approx(table.loc[1, "loss"], abs=1e-5)
    by_rows = cs.ablate(run, run.heads().iloc[[0, 7]], data=data, limit=6)
    assert by_rows["heads"].tolist() == ["none", "0.0,1.3"]
    assert by_rows.loc[1, "loss"] == single.loc[1, "loss"]


def test_inspecting_chosen_heads(run: Run, data: str) -> None:
    scores = cs.score(run, data=data, heads=2, name="looked-at", show=False)
    sample = str(scores["id"][0])
    inspected = cs.inspect(run, sample, scoring="looked-at", heads=[(1, 2)])
    assert inspected.heads == [(1, 2)] and repr(inspected).endswith("heads (1, 2))")
    assert cs.inspect(run, sample, scoring="looked-at").heads == [(0, 0), (0, 1)]


def test_a_selections_python_line_draws_it_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    options = {"count": 12, "seed": 4, "require_response": True, "exclude": ["gsm/0"]}
    cs.select(run, save="mine", **options)
    line = run.selection("mine").python
    # What the file says can be called.
    again = eval(str(line), {"circuitseer_core": cs})  # noqa: S307
    assert again["id"].tolist() == run.selection_ids("mine")["id"].tolist()
    assert "save='mine'" in str(line)


def test_export_verify_validate_and_report(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    cs.select(run, count=12, save="mine")
    done = cs.export(run.path, tmp_path / "mine.jsonl")
    assert cs.verify(done.path).ok and cs.verify(done.path, run=run).ok and cs.verify(run=run).ok
    result = cs.validate(run, "length")
    assert result.verdict and "experiment:length" in cs.load_run(run).figures
    assert cs.report(run, tmp_path / "run.html").read_text().startswith("<!doctype html>")


def test_a_look_at_data_and_the_arms(tmp_path: Path) -> None:
    """As the commands ``data`` and ``arms``."""
    seen = cs.survey(write_rows(tmp_path / "rows.jsonl", questions(14)), limit="1k")
    assert (seen.rows, seen.samples, seen.with_response) == (14, 14, 12)
    with pytest.raises(cs.UserError, match="name the --model whose tokens"):
        cs.survey("demo", max_length=3)
    run = make_run(tmp_path / "run")
    record = cs.arms(run, tmp_path / "arms", arms="uniform", rows=3, seeds=1, show=False)
    assert [(arm.kind, arm.rows) for arm in record.arms] == [("uniform", 3)]
    assert (tmp_path / "arms" / record.arms[0].file).is_file()
    with pytest.raises(cs.UserError, match="no arm 'none'"):
        cs.arms(run, tmp_path / "arms", arms=["none"])

"""A run in one sentence, whatever is there of it."""

from __future__ import annotations

from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.signatures.summary import summary
from tests.support import synthetic
from tests.support.crafted_run import add_detection, add_scores
from tests.support.signature_tests import strong


def test_stage_by_stage(run: Run) -> None:
    assert summary(Evidence(run), []) == "Nothing is measured yet."
    add_detection(run, strong())
    words = summary(Evidence(run), warnings(run))
    assert "with nothing scored yet; " in words and words.endswith(".")
    add_scores(run, {"variance": [1.0, 2.0]})
    run.score_parts()[0].write_bytes(b"no parquet")
    assert "with scores that cannot be read; " in summary(Evidence(run), [])


def test_a_whole_run_names_its_numbers_and_the_weightiest_warning(tmp_path) -> None:
    made = Run.open(synthetic.make_run(tmp_path / "run", synthetic.Shape(rows=200, fraction=None)))
    words = summary(Evidence(made), [])
    assert "heads of 48 in random-numbers, measured on 24 probe samples, score 200 prompts" in words
    assert words.endswith("and nothing is drawn yet; none of 0 checks warns.")
    select_run(made, SelectionSettings.of(fraction=0.1, temperature=0.5))
    signatures = [
        Signature("sink", "warn", "The first token makes it", "", 0.9, "samples"),
        Signature("length", "warn", "Length drives the score", "", 0.9, "sources"),
        Signature("uniform-draw", "good", "Fine", "", 0.9, "export"),
    ]
    words = summary(Evidence(made), signatures)
    assert "of which 20 are drawn at τ = 0.5; " in words
    assert words.endswith("2 of 3 checks warn, above all that the first token makes it.")
    assert summary(Evidence(made), signatures[1:]).endswith(
        "1 of 2 checks warns, that length drives the score."
    )


def test_warnings_stand_by_weight(tmp_path) -> None:
    made = Run.open(synthetic.make_run(tmp_path / "run"))
    keys = [s.key for s in warnings(made) if s.severity == "warn"]
    assert keys.index("sink") < keys.index("length")

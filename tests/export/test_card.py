"""The card beside an export: its numbers, and what speaks against the subset."""

from __future__ import annotations

from pathlib import Path

import yaml

from circuitseer_core.export.manifest import (
    ExportDetails,
    make_manifest,
    make_pool_manifest,
    read_manifest,
)
from circuitseer_core.export.pool_card import card_of
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from tests.support.exported import selected
from tests.support.hostile import FILE, WHOLE, make_hostile, name_of
from tests.support.rendered import acting
from tests.support.run_factory import make_rows, make_run, score_frame


def test_card_has_front_matter_and_the_numbers(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    text = done.card.read_text()
    _, front, body = text.split("---\n", 2)
    meta = yaml.safe_load(front)
    assert meta["configs"][0]["data_files"] == [{"split": "train", "path": "a.jsonl"}]
    assert meta["size_categories"] == ["n<1K"] and "circuitseer" in meta["tags"]
    assert "20 of 200 scored samples" in body and "τ = 1," in body and "seed 0" in body
    sources = run.selection("default").diagnostics.sources
    for entry in sources:
        assert f"| {entry.source} | {entry.pool} | {entry.rows} |" in body


def test_card_says_what_speaks_against_the_subset(tmp_path: Path) -> None:
    rows = make_rows(80)
    frame = score_frame(rows)
    frame["variance"] = 100.0 + frame["n_tokens"]
    frame["control_variance_0"] = frame["variance"] * 2
    frame["control_variance_1"] = frame["variance"].where(frame.index % 2 == 0)
    run = selected(make_run(tmp_path / "run", frame=frame))
    assert run.selection("default").diagnostics.control.rows == 80
    text = export(run, None, tmp_path / "a.jsonl").card.read_text()
    assert "The scores hardly steer the draw: " in text
    assert "The draw favours longer texts: Spearman +1.00 with the token count." in text
    assert "Random heads of the same layers rank the samples almost alike: Spearman +1.00" in text
    other = selected(make_run(tmp_path / "other", rows))
    plain = export(other, None, tmp_path / "b" / "a.jsonl").card.read_text()
    assert "hardly steer" not in plain and "favours" not in plain and "Random heads" not in plain


def test_a_card_says_how_rows_were_drawn(tmp_path: Path) -> None:
    frame = score_frame(make_rows(80))
    frame["variance"] = 100.0 + frame["n_tokens"]  # length drives the scores
    run = selected(make_run(tmp_path / "run", frame=frame), name="soft", temperature=0.5)

    def card(**options: object) -> str:
        selected(run, name="other", **options)
        text = export(run, "other", tmp_path / "a.jsonl").card.read_text()
        return text.replace("\n", " ")

    plain = export(run, "soft", tmp_path / "b" / "a.jsonl").card.read_text()
    assert "chances proportional to score^(1/τ), τ = 0.5, a budget of 0.1" in plain
    lowest = card(lowest=True)
    assert "chances proportional to (max + min - score)^(1/τ), τ = 1," in lowest
    assert "The draw favours shorter texts" in lowest
    assert "the lowest scores (τ = 0)" in card(lowest=True, temperature=0)
    uniform = card(temperature="inf")
    assert "all chances equal (τ = ∞)" in uniform and "favours" not in uniform
    matched = card(match_lengths="soft", temperature="inf")
    assert "as many rows of every length as selection `soft` has, seed 0" in matched
    assert "of the pool, seed" not in matched and "favours" not in matched


def test_a_readme_that_is_not_ours_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my project\n")
    done = export(run, None, tmp_path / "a.jsonl")
    assert (tmp_path / "README.md").read_text() == "my project\n"
    assert done.card.name == "a.jsonl.README.md"
    again = export(run, None, tmp_path / "new" / "a.jsonl")
    assert again.card.name == "README.md"
    assert export(run, None, tmp_path / "new" / "a.jsonl").card.name == "README.md"
    assert export(run, None, tmp_path / "new" / "b.jsonl").card.name == "b.jsonl.README.md"


def test_hostile_texts_stay_text_in_a_card(tmp_path: Path) -> None:
    run = Run.open(tmp_path / make_hostile(tmp_path))
    details = ExportDetails(
        format="alpaca", rows=6, prefix="circuitseer_", silent=1, columns_as_json=[name_of(5)],
        left_out={WHOLE: WHOLE, name_of(4): "as it clashes"},
    )  # fmt: skip
    target = tmp_path / "out" / "a.jsonl"
    drawn = make_manifest(run, FILE, target=target, details=details, files=[])
    drawn.calibration = run.calibration(FILE)
    drawn.selection.settings.name = "draw"  # which is checked, as the title's name is not
    whole = make_pool_manifest(
        run, FILE, [name_of(2), WHOLE], target=target, details=details, files=[]
    )
    for manifest in (drawn, whole):
        # Stored and read again, as it would be from somebody else's folder.
        manifest.write(tmp_path / "manifest.json")
        stored, _ = read_manifest(tmp_path / "manifest.json")
        card = card_of(stored, f"{FILE}--><img src=x onerror=alert(1)>.jsonl", "*.jsonl")
        assert acting(card) == []
        assert card.encode("utf-8") and yaml.safe_load(card.split("---\n", 2)[1])
    card = card_of(drawn, "a.jsonl", "*.jsonl")
    assert card.count("zzbold") > 20, "it names sources, columns, model, heads rule, target, file"


def test_a_card_that_acts_is_noticed() -> None:
    for text in (
        "**zzbold**",
        "![zzimg](http://evil.example/a.png)",
        "<b>zzhtml</b>",
        "\n# zzhead",
    ):
        assert acting(f"a {text}")
    assert acting("see http://evil.example/ there") and acting("www.evil.example")
    assert acting("| a | b |\n|---|---|\n| zzcell | x |")
    assert not acting("# A title\n\n`**zzbold**` and \\*\\*zzbold\\*\\*")

"""What a card says of the scores behind a subset: true of every kind of scorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.export.write import export, export_all
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.import_scores import ImportSettings, import_scores
from tests.support.exported import selected
from tests.support.records import edit_run
from tests.support.run_factory import MODEL, make_rows, make_run, score_frame

MAP = {"repo": "me/heads", "revision": "abcdef0123456789", "sha256": "0" * 64, "n_probe": 90}
BY_REASONING = "chosen by the attention of a language model's reasoning heads"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    frame = score_frame(make_rows(60))
    frame = frame.assign(perplexity=1 + frame["random"], ifd=0.1 + frame["random"])
    run = make_run(tmp_path / "run", frame=frame)
    edit_run(run, detect={"settings": {}, "n_probe": 7})
    return run


def card(run: Run, tmp_path: Path, **options: Any) -> str:
    """The card of a draw, in one line, up to its numbers."""
    selected(run, **options)
    text = export(run, None, tmp_path / "a.jsonl").card.read_text()
    return " ".join(text.split("## The draw in numbers")[0].split("---\n", 2)[2].split())


def change(run: Run, **keys: Any) -> None:
    path = run.scores_dir() / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys), encoding="utf-8")


def test_attention(run: Run, tmp_path: Path) -> None:
    text = card(run, tmp_path, scorer="focus")
    assert f"6 of 60 scored samples, {BY_REASONING} with CircuitSeer." in text
    assert "Scores: `focus` over 2 heads of `tiny/random` (revision `abc123`), chosen by " in text
    assert "by ablation on 7 probe samples (rule `2`, ranked by importance)." in text


@pytest.mark.parametrize("rule", ["18.8,7.2", "18.8", "@/home/ann/heads.txt"])
def test_heads_named_by_hand(run: Run, tmp_path: Path, rule: str) -> None:
    change(run, heads_rule=rule)
    text = card(run, tmp_path)
    assert f"named by hand (rule `{rule}`): no ablation of this run chose them" in text
    assert "reasoning heads" not in text and "probe sample" not in text


@pytest.mark.parametrize("rule", ["0.05", "1.0", "14", "lcb"])
def test_a_share_or_a_count_is_no_list(run: Run, tmp_path: Path, rule: str) -> None:
    change(run, heads_rule=rule)
    assert "chosen by ablation on 7 probe samples" in card(run, tmp_path)


@pytest.mark.parametrize("pulled", [False, True], ids=["for the scoring", "as the run's"])
def test_heads_of_another_map(run: Run, tmp_path: Path, pulled: bool) -> None:
    source = MAP | {"weights_hash": MODEL["weights_hash"]}
    if pulled:
        edit_run(run, detect={"n_probe": 90, "heads_from": source})
    else:
        change(run, heads_from=source)
    text = card(run, tmp_path)
    assert "in another run on 90 probe samples (head map `me/heads` at abcdef012345; rule" in text
    assert "7 probe" not in text and "other weights" not in text
    change(run, heads_from=source | {"weights_hash": "f" * 16})
    assert "at abcdef012345, measured on other weights; rule" in card(run, tmp_path)


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("length", "chosen by their length in tokens with CircuitSeer."),
        ("random", "chosen by a random number each with CircuitSeer."),
        ("perplexity", "chosen by the perplexity of their responses with CircuitSeer."),
        ("ifd", "chosen by IFD (instruction-following difficulty) with CircuitSeer."),
    ],
)
def test_baselines(run: Run, tmp_path: Path, scorer: str, words: str) -> None:
    text = card(run, tmp_path, scorer=scorer)
    assert words in text and f"Scores: `{scorer}`, " in text
    assert "reasoning heads" not in text and "ablation" not in text


def test_imported(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    rows = [{"id": name, "r": n} for n, name in enumerate(ids[:40])]
    rows += [{"id": ids[0], "r": 9}, {"id": "nobody", "r": 1}]
    file = tmp_path / "reward model.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ("reward=r",)
    seal = import_scores(run, [str(file)], ImportSettings(columns=columns))[0].files[0].sha256
    text = card(run, tmp_path, scorer="reward")
    assert "chosen by scores that were made elsewhere with CircuitSeer." in text
    assert f"column `r` of `reward model.jsonl` (SHA-256 {str(seal)[:12]}); " in text
    assert "41 of its 42 rows joined (41 by id, 0 by prompt), 39 samples scored, 1 left" in text
    assert "reasoning heads" not in text and "ablation" not in text
    whole = export_all(run, "default", tmp_path / "all.jsonl").card.read_text()
    assert "`circuitseer_reward`: `reward`, made elsewhere: column `r`" in whole
    assert "`circuitseer_variance`: a score of the heads' attention" in whole
    assert "The heads are 2 heads of `tiny/random`" in whole


@pytest.mark.parametrize("options", [{}, {"match_lengths": "first"}])
def test_uniform(run: Run, tmp_path: Path, options: dict[str, Any]) -> None:
    selected(run, name="first")
    text = card(run, tmp_path, name="other", temperature="inf", **options)
    assert "6 of 60 scored samples, drawn at random, without regard to any score, with " in text
    assert "No score had a part in the draw; the column `circuitseer_score` holds" in text
    assert "chosen by the attention" not in text and "Scores: `variance`" not in text
    columns = (tmp_path / "README.md").read_text()
    assert "`circuitseer_score`: its `variance`, by which it was not drawn" in columns

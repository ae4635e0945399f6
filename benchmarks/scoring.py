"""What it costs to observe the reasoning heads during a plain forward pass.

    python benchmarks/scoring.py [--model demo] [--run RUN | --heads "18.8,7.2,..."]
    python benchmarks/scoring.py --model qwen-math-1.5b --dtype bf16      # on a GPU

Contenders, all on the same weights and batches:

- eager:    output_attentions=True, then the heads are picked out: what everybody writes;
- bare:     the SDPA body forward, nothing observed: the floor;
- ours:     the profiles of 5 % of the heads, and their scores, no early stop;
- controls: the same with the three groups of random heads;
- stop:     ours, ending at the deepest observed layer.

Every ratio is the median over interleaved rounds in one process; peak memory is that of a process
of its own for each contender and length. Writes benchmarks/results/scoring-DEVICE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.machine import described, matmul_rate
from benchmarks.shapes import load
from circuitseer_core.aliases import Head
from circuitseer_core.detection.heads import head_count, parse_head_list, select_heads
from circuitseer_core.hashing import hash64
from circuitseer_core.model.batches import group_by_tokens
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.control_heads import control_heads
from circuitseer_core.scoring.profiles import HeadPlan, Profiles, observe
from circuitseer_core.scoring.scorers import attention_scores

CONTENDERS = ("eager", "bare", "ours", "controls", "stop")
MEMORY_LENGTHS = (512, 2048, 8192)
CORPUS = 220_000
"""Prompts of the projection: the size of the paper's pool."""
DEMO_TOP = "18.8,7.2,16.0,23.0"
"""The embedded model's largest heads on grade-school maths; the rest of the 5 % is hashed."""
Batch = tuple[torch.Tensor, torch.Tensor]
"""Right-padded ids (B, T) and lengths (B,)."""


def main() -> None:
    """Time, compare, measure memory, and report."""
    options = parse()
    if options.contender:
        print(json.dumps(measure_memory(options)))
        return
    bench = bench_of(options)
    target = RESULTS / f"scoring-{bench.device.type}.json"
    result: dict[str, Any] = {"machine": about(bench), "heads": bench.heads, "speed": {}}
    if options.memory_only:
        result = json.loads(target.read_text(encoding="utf-8"))
        options.shapes = []
    elif bench.device.type == "cuda":
        result["speed"]["prompts of 50-400 tokens"] = bench.speed(bench.prompts(), options.rounds)
        result["matmul"] = bench.matmul_share(result["speed"]["prompts of 50-400 tokens"])
    for size, length in options.shapes:
        shape = f"{size} x {length}"
        result["speed"][shape] = bench.speed([bench.batch(size, length)], options.rounds)
        result["speed"][shape]["error"] = bench.relative_error(bench.batch(size, length))
    if not options.no_memory:
        result["memory"] = memory_table(options, bench)
    report(result)
    RESULTS.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {target.relative_to(ROOT)}")


def parse() -> argparse.Namespace:
    """Options; the defaults are the setting of the published numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="demo", help="demo, a folder, qwen-math-1.5b or tiny")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--run", help="take the reasoning heads of this run")
    parser.add_argument("--heads", help='or these: "l.h,l.h"')
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", default="8x128,4x512", help="samples x tokens of a batch")
    parser.add_argument("--lengths", default=",".join(map(str, MEMORY_LENGTHS)))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory-only", action="store_true", help="measure that part again")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pairs = [shape.split("x") for shape in options.shapes.split(",") if shape]
    options.shapes = [(int(size), int(length)) for size, length in pairs]
    options.lengths = [int(length) for length in options.lengths.split(",") if length]
    return options


class Bench:
    """One model with its heads, and the contenders as functions of a batch."""

    def __init__(self, reference: ReferenceModel, heads: list[Head]) -> None:
        self.reference, self.heads = reference, heads
        self.device = reference.device
        draws = control_heads(self.heads, self.reference.heads_per_layer, 0)
        self.plain = HeadPlan([self.heads], self.device)
        self.controlled = HeadPlan([self.heads, *draws], self.device)
        self.name = self.reference.model.config._attn_implementation

    def run(self, contender: str, batch: Batch) -> np.ndarray | None:
        """One batch to its end; the ``variance`` scores (B,), None from the bare forward."""
        ids, lengths = batch
        if contender == "eager":
            return self._eager(ids, lengths)
        if contender == "bare":
            self._switch("sdpa")
            with torch.inference_mode():
                self.reference.body(input_ids=ids, use_cache=False)[0][0, 0, 0].item()
            return None
        self._switch(self.name)
        plan = self.controlled if contender == "controls" else self.plain
        profiles = observe(self.reference, ids, lengths, plan, stop=contender == "stop")
        return variance(profiles, lengths)

    def _switch(self, implementation: str) -> None:
        if self.reference.model.config._attn_implementation != implementation:
            self.reference.model.set_attn_implementation(implementation)

    def _eager(self, ids: torch.Tensor, lengths: torch.Tensor) -> np.ndarray:
        self._switch("eager")
        with torch.inference_mode():
            matrices = self.reference.body(
                input_ids=ids, use_cache=False, output_attentions=True
            ).attentions
            picked = torch.stack([matrices[layer][:, head] for layer, head in self.heads], 1)
            mean = picked.float().mean(1)  # (B, T, T)
            rows = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
            profiles = (mean * rows[:, :, None]).sum(1) / lengths[:, None]
        return variance(Profiles(profiles[:, None], profiles[:, None]), lengths)

    def batch(self, size: int, length: int, seed: int = 0) -> Batch:
        """Random tokens, no padding."""
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(100, 10_000, (size, length), generator=generator)
        vocabulary = self.reference.model.config.get_text_config().vocab_size
        return (ids % vocabulary).to(self.device), torch.full((size,), length, device=self.device)

    def prompts(
        self, count: int = 2048, budget: int = 32_768, tokens: tuple[int, int] = (50, 400)
    ) -> list[Batch]:
        """Prompts of so many tokens in length-sorted batches, as scoring makes them."""
        lengths = np.random.default_rng(0).integers(tokens[0], tokens[1] + 1, count)
        out = []
        for group in group_by_tokens(lengths.tolist(), budget):
            own_lengths = torch.tensor([int(lengths[i]) for i in group], device=self.device)
            out.append((self.batch(len(group), int(own_lengths.max()))[0], own_lengths))
        return out

    def speed(self, batches: Sequence[Batch], rounds: int) -> dict[str, Any]:
        """Median tokens a second of every contender, and the ratios that the bars are about."""
        tokens = sum(int(lengths.sum()) for _, lengths in batches)
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for number in range(rounds + 1):
            shift = number % len(CONTENDERS)
            for name in (*CONTENDERS[shift:], *CONTENDERS[:shift]):
                took = timed(lambda name=name: [self.run(name, batch) for batch in batches])
                if number:  # the first round warms up
                    seconds[name].append(took)

        def ratio(slow: str, fast: str) -> float:
            pairs = zip(seconds[slow], seconds[fast], strict=True)
            return statistics.median(a / b for a, b in pairs)

        return {
            "tokens": tokens,
            "rounds": rounds,
            "tokens_per_second": {n: tokens / statistics.median(s) for n, s in seconds.items()},
            "ours / bare": ratio("bare", "ours"),
            "controls / bare": ratio("bare", "controls"),
            "stop / bare": ratio("bare", "stop"),
            "stop / eager": ratio("eager", "stop"),
            "ours / eager": ratio("eager", "ours"),
        }

    def relative_error(self, batch: Batch) -> float:
        """Largest relative difference of ``variance`` between ours and eager."""
        ours, eager = self.run("ours", batch), self.run("eager", batch)
        assert ours is not None and eager is not None
        return float(np.max(np.abs(ours - eager) / np.abs(eager)))

    def matmul_share(self, speed: dict[str, Any]) -> dict[str, float]:
        """How near the matmul rate of this device the scoring comes, and what a corpus takes."""
        rate = matmul_rate(self.device, self.reference.dtype)
        embedding = self.reference.model.get_input_embeddings().weight.numel()
        body = sum(p.numel() for p in self.reference.body.parameters()) - embedding
        tokens_per_second = speed["tokens_per_second"]["stop"]
        mean_tokens = speed["tokens"] / 2048
        return {
            "matmul_flops": rate,
            "fraction": 2 * body * speed["tokens_per_second"]["ours"] / rate,
            "corpus_prompts": CORPUS,
            "corpus_seconds": CORPUS * mean_tokens / tokens_per_second,
        }


def bench_of(options: argparse.Namespace) -> Bench:
    """The model and the heads that were asked for."""
    reference = load(options.model, options.dtype, options.device)
    return Bench(reference, choose_heads(reference, options))


def choose_heads(reference: ReferenceModel, options: argparse.Namespace) -> list[Head]:
    """Of a run, as given, or (by hash) 5 % of all heads with the demo model's known ones first."""
    if options.run:
        return select_heads(Run.open(options.run).heads())
    if options.heads:
        return parse_head_list(options.heads)
    known = parse_head_list(DEMO_TOP) if options.model == "demo" else []
    order = np.argsort(hash64(0, "bench", [f"{a}.{b}" for a, b in reference.heads]))
    rest = [reference.heads[i] for i in order if reference.heads[i] not in known]
    return [*known, *rest][: head_count(0.05, len(reference.heads))]


def variance(profiles: Profiles, lengths: torch.Tensor) -> np.ndarray:
    """(B,) the default score: what turns profiles into numbers is part of the work."""
    observed, flat = profiles.observed.cpu().numpy(), profiles.flat.cpu().numpy()
    special = np.zeros((observed.shape[0], observed.shape[2]), dtype=bool)
    return attention_scores(observed, flat, lengths.cpu().numpy(), special)["variance"][:, 0]


def timed(work: Callable[[], object]) -> float:
    """Seconds; every contender reads a number back, so devices are in step at the end."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def memory_table(options: argparse.Namespace, bench: Bench) -> list[dict[str, Any]]:
    """Peak memory of every contender at every length, each in a process of its own."""
    config = bench.reference.model.config.get_text_config()
    width = 4 if bench.reference.dtype == torch.float32 else 2
    rows = []
    for length in options.lengths:
        matrices = config.num_hidden_layers * config.num_attention_heads * length**2 * width
        row: dict[str, Any] = {"tokens": length, "eager_matrices_bytes": matrices}
        for contender in CONTENDERS:
            if contender == "eager" and matrices > 0.5 * available_memory(bench.device):
                row[contender] = None
            else:
                row[contender] = in_own_process(options, contender, length, bench.heads)["peak"]
        rows.append(row)
    return rows


def available_memory(device: torch.device) -> int:
    """Bytes free for a process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def in_own_process(
    options: argparse.Namespace, contender: str, length: int, heads: list[Head]
) -> dict[str, Any]:
    """Run one contender on one sample of ``length`` tokens in a fresh interpreter."""
    named = ",".join(f"{layer}.{head}" for layer, head in heads) + ","
    command = [sys.executable, __file__, "--contender", contender, "--lengths", str(length)]
    command += ["--model", options.model, "--dtype", options.dtype, "--device", options.device]
    done = subprocess.run(
        [*command, "--heads", named], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        return {"peak": None, "error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak bytes of this process (of the device's allocator on a GPU) for one long sample."""
    bench = bench_of(options)
    bench.run(options.contender, bench.batch(1, options.lengths[0]))
    if bench.device.type == "cuda":
        return {"peak": torch.cuda.max_memory_allocated()}
    return {"peak": peak_resident()}


def peak_resident() -> int:
    """Most bytes this process held. Linux's ru_maxrss would count its parent's before exec."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def about(bench: Bench) -> dict[str, Any]:
    """Where this was measured, and on what."""
    return described(bench.device, ("torch", "transformers")) | {
        "model": bench.reference.name,
        "dtype": str(bench.reference.dtype).removeprefix("torch."),
        "deepest": [bench.plain.deepest, len(bench.reference.layers)],
    }


def report(result: dict[str, Any]) -> None:
    """The tables, for a terminal and for RESULTS.md."""
    on = result["machine"]
    print(f"{on['model']} {on['dtype']} on {on['device']}, {on['threads']} threads")
    print(f"{len(result['heads'])} heads, deepest in layer {on['deepest'][0]}\n")
    print("| batch | " + " | ".join(f"{name} tok/s" for name in CONTENDERS) + " | ours / bare |")
    print("|---" * (len(CONTENDERS) + 2) + "|")
    for shape, row in result["speed"].items():
        rates = " | ".join(f"{row['tokens_per_second'][name]:,.0f}" for name in CONTENDERS)
        print(f"| {shape} | {rates} | {row['ours / bare']:.3f} |")
    print("\n| batch | controls / bare | stop / bare | stop / eager | error of variance |")
    print("|---|---|---|---|---|")
    for shape, row in result["speed"].items():
        cells = [f"{row[name]:.3f}" for name in ("controls / bare", "stop / bare", "stop / eager")]
        print(f"| {shape} | {' | '.join(cells)} | {row.get('error', float('nan')):.1e} |")
    if "matmul" in result:
        share = result["matmul"]
        print(f"\n{share['fraction']:.2f} of {share['matmul_flops'] / 1e12:.0f} Tflop/s; ", end="")
        print(f"{share['corpus_prompts']:,} prompts: {share['corpus_seconds'] / 60:.1f} min")
    for row in result.get("memory", []):
        peaks = [f"{n} {row[n] / 2**20:,.0f}" for n in CONTENDERS if row[n] is not None]
        need = row["eager_matrices_bytes"] / 2**30
        print(f"\npeak MiB at {row['tokens']:,} tokens: {', '.join(peaks)}", end="")
        print(f" (eager's matrices alone: {need:,.1f} GiB)", end="")
    print()


if __name__ == "__main__":
    main()

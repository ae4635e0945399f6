"""How well is the overlap with an independent probe estimated? Simulated heads with heavy tails.

Truth is the overlap of the chosen set with those of 20 other probes from the same distribution.
Compared: the bootstrap of the probe against the set it chose, and detection/set_overlap.py.

    python benchmarks/stability.py [--repeats 100]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from circuitseer_core.detection.head_stability import bootstrap_membership_of
from circuitseer_core.detection.set_overlap import HeadEstimates, expected_overlap

SIZES = ((270, 14, 12), (270, 14, 48), (1024, 52, 48), (1024, 52, 300))
NOISES = {"low": (-4.6, 0.6), "middle": (-3.2, 0.9), "high": (-2.2, 1.0)}
"""Mean and spread of the logarithm of a head's own noise, in nats."""


def world(heads: int, noise: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """(2, heads): effects, log-normal over four decades and mostly positive, and their noise."""
    effect = np.sign(rng.normal(size=heads) + 1) * np.exp(rng.normal(-5, 1.6, heads))
    spread = np.abs(effect) * np.exp(rng.normal(0.3, 0.5, heads))
    return np.stack([effect, spread + np.exp(rng.normal(*noise, heads))])


def probe(of: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples, heads) ΔL: a factor a sample shares over its heads, and t(3) noise."""
    factor = np.exp(rng.normal(0, 0.5, (samples, 1)) - 0.125)
    return of[0] * factor + of[1] * rng.standard_t(3, (samples, of.shape[1])) / np.sqrt(3)


def top(deltas: np.ndarray, count: int) -> set[int]:
    """The heads of highest mean."""
    return set(np.argsort(-deltas.mean(axis=0))[:count].tolist())


def trial(
    heads: int, count: int, samples: int, noise: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """True overlap, error of the bootstrap, error of the estimate, share inside the interval."""
    of = world(heads, noise, rng)
    deltas = probe(of, samples, rng)
    chosen = top(deltas, count)
    overlaps = [len(chosen & top(probe(of, samples, rng), count)) / count for _ in range(20)]
    truth = float(np.mean(overlaps))
    again = bootstrap_membership_of(deltas, count, 100)
    cells = [(0, head) for head in range(heads)]
    estimates = HeadEstimates([(deltas, np.ones(samples))], cells)
    estimate = expected_overlap(estimates, count, seed=int(rng.integers(2**31)))
    assert estimate is not None
    inside = np.mean([estimate.low <= overlap <= estimate.high for overlap in overlaps])
    bootstrap = float(again[sorted(chosen)].mean())
    return truth, bootstrap - truth, estimate.expected - truth, float(inside)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    print("| noise | heads | wanted | samples | truth | bootstrap | estimate | its sd | inside |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, noise in NOISES.items():
        for heads, count, samples in SIZES:
            rows = np.array([trial(heads, count, samples, noise, rng) for _ in range(repeats)])
            truth, bootstrap, error, inside = rows.mean(axis=0)
            print(
                f"| {name} | {heads} | {count} | {samples} | {truth:.3f} | {bootstrap:+.3f} | "
                f"{error:+.3f} | {rows[:, 2].std():.3f} | {inside:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

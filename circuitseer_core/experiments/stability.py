"""Would another probe choose the same heads, and would the scores then choose the same samples?

1. Bootstrap: resample the probe with replacement, rank the heads again, take as many as now. The
   mean probability of the chosen heads is the overlap to expect.
2. Halves: split the probe in two at random, many times. Spearman of the two maps and overlap of the
   two top sets: what two independent probes of half the size agree on.
3. With ``rescore`` (needs the model): that many scored samples, scored with the heads of each of a
   number of bootstrapped sets; Spearman of the scores and overlap of the subsets with those of the
   chosen heads.

Where heads were taken by specificity, all of it is done on specificity, resampling probe and
contrast set apart. After racing only heads that got the whole probe take part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.detection.head_stability import sample_matrix
from circuitseer_core.detection.heads import finalists, select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, percent, plain, signed

NAME = "stability"


class Options(ExperimentOptions):
    """Options of ``validate stability``."""

    scores: str = Field("default", description="the scoring whose heads are meant")
    bootstraps: int = Field(1000, ge=10, description="resampled probes")
    splits: int = Field(100, ge=1, description="random halves")
    rescore: int = Field(0, ge=0, description="scored samples to score anew; 0: none, no model")
    sets: int = Field(20, ge=2, description="bootstrapped head sets to score with")
    fraction: float = Field(0.1, gt=0, le=1, description="share of the samples to draw")
    scorer: str = Field("variance", description="the attention scorer to draw by")
    device: str = Field("auto", description="where the model runs")
    seed: int = Field(0, description="seed of every resampling")


class Estimates:
    """Head estimates from weighted probe samples.

    Attributes:
        heads: H heads that every sample was measured on.
        samples: n probe samples, and as many of the contrast set as it has (0 without).
    """

    def __init__(self, run: Run, rank_by: str) -> None:
        importance, probe = run.importance(), run.probe()
        field = finalists(run.heads())
        self._sets: list[tuple[Floats, Floats]] = []
        self.rank_by = rank_by
        for name in ("probe", "contrast") if rank_by == "specificity" else ("probe",):
            matrix = sample_matrix(importance, name, field)
            clean = probe[probe["set"] == name].set_index("id")["base_loss"]
            self._sets.append((matrix.to_numpy(), clean.reindex(matrix.index).to_numpy()))
            self.heads: list[Head] = [(int(layer), int(head)) for layer, head in matrix.columns]

    @property
    def samples(self) -> list[int]:
        """Number of samples of each set."""
        return [len(delta) for delta, _ in self._sets]

    def of(self, weights: list[Floats]) -> Floats:
        """(H,) importance (or specificity) under these sample weights, one array a set."""
        means = [w @ delta / w.sum() for (delta, _), w in zip(self._sets, weights, strict=True)]
        if self.rank_by == "importance":
            return np.asarray(means[0])
        clean = [w @ loss / w.sum() for (_, loss), w in zip(self._sets, weights, strict=True)]
        return np.asarray(means[0] / clean[0] - means[1] / clean[1])

    def everything(self) -> Floats:
        """(H,) the plain estimates."""
        return self.of([np.ones(n) for n in self.samples])

    def bootstrap(self, rng: np.random.Generator) -> Floats:
        """(H,) estimates from sets resampled with replacement."""
        return self.of([rng.multinomial(n, np.full(n, 1 / n)).astype(float) for n in self.samples])

    def halves(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Estimates from two disjoint halves (of equal size; an odd sample is left out)."""
        one: list[Floats] = []
        other: list[Floats] = []
        for n in self.samples:
            order = rng.permutation(n)
            for rows, weights in ((order[: n // 2], one), (order[n // 2 : 2 * (n // 2)], other)):
                weights.append(np.isin(np.arange(n), rows).astype(float))
        return self.of(one), self.of(other)


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, or (to rescore) no scores, no texts or no model.
    """
    chosen = Options.of(**options)
    facts = Evidence(run, chosen.scores if run.scorings() else None)
    rank_by = facts.settings.rank_by
    heads = facts.chosen or select_heads(run.heads())
    estimates = Estimates(run, rank_by)
    if not set(heads) <= set(estimates.heads):
        raise UserError("the chosen heads were not all measured on the whole probe")
    rng = np.random.default_rng(chosen.seed)
    sets = [top_of(estimates.bootstrap(rng), len(heads)) for _ in range(chosen.bootstraps)]
    table = _table(estimates, heads, np.bincount(np.concatenate(sets)) / len(sets))
    own = table.loc[table["chosen"], "probability"]
    numbers: dict[str, Any] = {
        "heads": len(heads),
        "rank_by": rank_by,
        "probe_samples": estimates.samples[0],
        "expected_overlap": float(own.mean()),
        "certain_heads": int((own >= limits.CERTAIN).sum()),
        "chance_overlap": len(heads) / len(estimates.heads),
        "halves": _halves(estimates, len(heads), chosen.splits, rng),
        "rescored": None,
    }
    if chosen.rescore:
        from circuitseer_core.experiments.head_resampling import Rescoring, rescored

        picks = [[estimates.heads[i] for i in rows] for rows in sets[: chosen.sets]]
        numbers["rescored"] = rescored(
            run,
            heads,
            picks,
            Rescoring(
                rows=chosen.rescore,
                scores=chosen.scores,
                scorer=chosen.scorer,
                fraction=chosen.fraction,
                device=chosen.device,
                seed=chosen.seed,
            ),
        )
    title = "Would another probe choose the same heads?"
    return ExperimentResult(NAME, title, _verdict(numbers), numbers, table)


def top_of(values: Floats, count: int) -> NDArray[np.int64]:
    """(count,) indices of the largest values; ties by index."""
    return np.argsort(-values, kind="stable")[:count]


def _table(estimates: Estimates, chosen: list[Head], hits: Floats) -> pd.DataFrame:
    """layer, head, estimate, probability, chosen: heads chosen now or in any bootstrap."""
    probability = np.zeros(len(estimates.heads))
    probability[: len(hits)] = hits
    table = pd.DataFrame(estimates.heads, columns=["layer", "head"])
    table[estimates.rank_by] = estimates.everything()
    table["probability"] = probability
    table["chosen"] = [head in set(chosen) for head in estimates.heads]
    table = table[table["chosen"] | (table["probability"] > 0)]
    return table.sort_values(["probability", estimates.rank_by], ascending=False, ignore_index=True)


def _halves(
    estimates: Estimates, top: int, splits: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Agreement of disjoint halves: means and the middle 90 %; None below two samples a half."""
    if min(estimates.samples) < 4:
        return None
    pairs = []
    for _ in range(splits):
        one, other = estimates.halves(rng)
        common = len(np.intersect1d(top_of(one, top), top_of(other, top)))
        pairs.append((correlation(ranks(one), ranks(other)), common / top))
    values = np.array(pairs)
    low, high = np.quantile(values, [0.05, 0.95], axis=0, method="inverted_cdf")
    return {
        "samples": estimates.samples[0] // 2,
        "spearman": float(values[:, 0].mean()),
        "spearman_range": [float(low[0]), float(high[0])],
        "overlap": float(values[:, 1].mean()),
        "overlap_range": [float(low[1]), float(high[1])],
    }


def _verdict(numbers: dict[str, Any]) -> str:
    k = numbers["heads"]
    text = (
        f"If the {count(numbers['probe_samples'], 'probe sample')} were drawn anew, "
        f"{percent(numbers['expected_overlap'])} of the {count(k, 'chosen head')} would be "
        f"expected again (chance {percent(numbers['chance_overlap'])}); {numbers['certain_heads']} "
        f"of them in at least {percent(limits.CERTAIN)} of the draws."
    )
    halves = numbers["halves"]
    if halves is not None:
        text += (
            f" Two disjoint halves of {count(halves['samples'], 'sample')} give maps with Spearman "
            f"{signed(halves['spearman'])} and top sets that share {percent(halves['overlap'])} "
            f"({plain(halves['overlap'] * k)} of {k})."
        )
    again = numbers["rescored"]
    if again is not None:
        text += (
            f" Scoring {count(again['rows'], 'sample')} with {again['sets']} bootstrapped sets "
            f"instead gives Spearman {signed(again['spearman'])} with the scores of the chosen "
            f"heads; soft subsets share {percent(again['overlap_soft'])}, top ones "
            f"{percent(again['overlap_top'])}."
        )
    return text

"""How much of a loss change is rounding: some of them measured again at a higher precision.

1. Of the (head, sample) pairs of eight probe samples choose 16: one from each sixteenth by |ΔL|,
   of the layer that has the fewest so far, else at random (seeded). Pairs of one sample share its
   clean pass, which is most of the work.
2. Measure each again with the whole model in float32, or in float64 after a run in float32: the
   same code on the same weights, one module at a time (model/upcast.py).
3. The noise floor is the root mean square, in nats, of the differences: what one per-sample ΔL is
   typically off by. Over n samples it averages out to floor/√n where it has no direction.

A repeated clean run is no substitute: in bfloat16 it gave the same bits, and 0 for a floor, where
ΔL was off by 0.01 nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.detection.cost import NOISE_PAIRS, NOISE_SAMPLES
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.model.upcast import upcast, why_not
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.records import DetectRecord

_UNSUPPORTED = (RuntimeError, TypeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """What was found, or why nothing was.

    nats: root mean square of measured minus repeated ΔL; pairs: how many were repeated; against:
    the precision that they were repeated in; effect: the median of their |ΔL|; unmeasured: why
    there are no numbers.
    """

    nats: float | None = None
    pairs: int = 0
    against: str | None = None
    effect: float | None = None
    unmeasured: str | None = None

    def record_in(self, detection: DetectRecord) -> None:
        """Write it into the section ``detect`` of run.json."""
        detection.noise_floor, detection.noise_unmeasured = self.nats, self.unmeasured
        detection.noise_pairs, detection.noise_against = self.pairs, self.against
        detection.noise_effect = self.effect


def choose_pairs(importance: pd.DataFrame, seed: int, pairs: int = NOISE_PAIRS) -> pd.DataFrame:
    """At most ``pairs`` rows of the importance table, spread over |ΔL| and the layers, by sample.

    Args:
        importance: id, layer, head, delta_loss, one set's.
    """
    rng = np.random.default_rng(seed)
    ids = importance["id"].unique()
    some = rng.choice(ids, min(NOISE_SAMPLES, len(ids)), replace=False)
    importance = importance[importance["id"].isin(some)]
    size = importance["delta_loss"].abs().to_numpy()
    order = np.argsort(size, kind="stable")
    layers = importance["layer"].to_numpy()
    uses = np.zeros(int(layers.max(initial=0)) + 1, dtype=np.int64)
    chosen = []
    for part in np.array_split(order, min(pairs, len(order))):
        rare = part[uses[layers[part]] == uses[layers[part]].min()]
        picked = rng.choice(rare)
        uses[layers[picked]] += 1
        chosen.append(picked)
    return importance.iloc[chosen].sort_values("id", kind="stable")


def measure_noise(
    run: Run,
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    importance: pd.DataFrame,
    ablation: AblationMode,
    *,
    seed: int,
    show: bool = True,
) -> NoiseFloor:
    """Repeat some loss changes of the run's probe; see the head of this module.

    Args:
        samples: the probe; importance: its rows of the importance table.
        show: show a bar.
    """
    chosen = choose_pairs(importance, seed)
    by_id = {sample.id: sample for sample in samples}
    pairs = [(by_id[p.id], p.layer, p.head, p.delta_loss) for p in chosen.itertuples()]
    with Progress(
        run, "detect", len(pairs), unit="pairs", show=show, phase="Measuring the noise floor"
    ) as progress:
        return _repeated(reference, pairs, ablation, bool(run.detection.replay), progress)


def _repeated(
    reference: ReferenceModel,
    pairs: Sequence[tuple[Encoded, int, int, float]],
    ablation: AblationMode,
    replay: bool,
    progress: Progress,
) -> NoiseFloor:
    """Pairs of sample, layer, head and the ΔL that was measured, measured again."""
    exact = torch.float64 if reference.dtype == torch.float32 else torch.float32
    reason = why_not(reference, exact)
    if reason is not None:
        return NoiseFloor(unmeasured=reason)
    name = "fp64" if exact == torch.float64 else "fp32"
    ablator = Ablator(reference, ablation, stack_tokens=1, replay=replay)
    differences: list[float] = []
    batch = None
    with torch.inference_mode(), upcast(reference, exact):
        for sample, layer, head, measured in pairs:
            if batch is None or batch.sample_ids != [sample.id]:
                batch = loss_batch([sample], reference.device)
            try:
                again = ablator.measure(batch, layer, [head], noise=False).delta
            except UserError:
                return NoiseFloor(unmeasured=f"memory ran out in {name}")
            except _UNSUPPORTED as error:  # a kernel that this precision does not have
                return NoiseFloor(unmeasured=f"the model does not run in {name}: {one_line(error)}")
            differences.append(measured - float(again))
            progress.advance()
    return NoiseFloor(
        nats=float(np.sqrt(np.mean(np.square(differences)))),
        pairs=len(pairs),
        against=name,
        effect=float(np.median([abs(measured) for *_, measured in pairs])),
    )

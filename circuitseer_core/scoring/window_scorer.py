"""The scorer of one window: the same object in one process, on eight GPUs or across a cluster.

1. Tokenise the window's texts (in a thread, while the window before it is in the model).
2. Split by how many control draws samples carry; sort each part by length; batches by budget.
3. One forward pass of the body a batch, profiles observed on the way (profiles.py).
4. Profiles to scores (scorers.py) on the CPU, while the device is at the next batch.

A shard is a pure function of its window, the settings and the token budget: if memory runs out, the
budget is halved and the whole window done again. A sample that fails is a reject with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.data.sample import Reject, Sample, ScoredPart
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model.batches import group_by_tokens, pad
from circuitseer_core.model.memory import fitting, is_out_of_memory, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import DRAWS
from circuitseer_core.scoring.baselines import baseline_scores
from circuitseer_core.scoring.control_heads import FIRST_DRAWS, draws_carried
from circuitseer_core.scoring.profiles import HeadPlan, Profiles, observe
from circuitseer_core.scoring.scorers import ATTENTION_SCORERS, attention_scores, sink_share
from circuitseer_core.scoring.shard_table import ScoredRows, score_table
from circuitseer_core.scoring.shards import Note, reject_rows
from circuitseer_core.scoring.windows import EncodedWindow, Window, encode_window

FAILURES = (RuntimeError, ValueError, IndexError, KeyError, TypeError, ArithmeticError)
"""What a model may raise on one odd sample; memory and device failures are told apart."""

SYSTEMATIC = 16
"""If every one of at least so many samples fails, it is not the samples."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """All that a scorer needs to know besides the model; plain values, so it travels.

    control_share, further_share: see ``draws_carried``; template: of the baselines, ``chat`` or
    ``plain``; None for no baselines.
    """

    heads: list[Head]
    control_heads: list[list[Head]]
    control_share: float
    further_share: float
    text: ScoredPart
    max_length: int
    token_budget: int
    seed: int
    template: str | None
    settings_hash: str


@dataclass(slots=True)
class _Results:
    """Numbers of a window's n samples, filled batch by batch; a failure holds its reason."""

    scores: dict[str, Floats]
    sink_share: Floats
    controls: dict[str, Floats]
    profiles: list[NDArray[np.float32] | None]
    failures: dict[int, str]

    @classmethod
    def empty(cls, n: int, draws: int) -> _Results:
        scores = {name: np.full(n, np.nan) for name in ATTENTION_SCORERS}
        controls = {name: np.full((n, draws), np.nan) for name in ATTENTION_SCORERS}
        return cls(scores, np.full(n, np.nan), controls, [None] * n, {})


class WindowScorer:
    """Scores windows with one model on one device.

    Attributes:
        token_budget: of a batch, in tokens; halved for good when memory runs out.
    """

    def __init__(self, reference: ReferenceModel, plan: ShardPlan) -> None:
        self.reference, self.plan = reference, plan
        self.token_budget = plan.token_budget
        draws = [draw for draw in plan.control_heads if draw]
        # By the number of draws that a sample carries, the heaviest first.
        self._plans = {
            n: HeadPlan([plan.heads, *draws[:n]], reference.device) for n in (DRAWS, FIRST_DRAWS, 0)
        }

    def encode(self, window: Window) -> EncodedWindow:
        """Tokenise one window; needs no device."""
        plan = self.plan
        return encode_window(self.reference.tokenizer, window, plan.text, plan.max_length)

    def score(
        self, encoded: EncodedWindow, on_progress: Callable[[int], None] = lambda n: None
    ) -> tuple[pa.Table, Note]:
        """One shard: its table and its note.

        Args:
            on_progress: called with the number of samples just done (negative: to be done again;
                0: a sign of life). With baselines these count: they cost more than the profiles.

        Raises:
            UserError: the device failed, or every single sample did; nothing is to be written.
        """
        while True:
            done = [0]

            def count(n: int, done: list[int] = done) -> None:
                done[0] += n
                on_progress(n)

            done_all = fitting(partial(self._scored, encoded, count, on_progress))
            if done_all is not None:
                return self._shard(encoded, *done_all)
            self._halve()
            on_progress(-done[0])

    def _scored(
        self,
        encoded: EncodedWindow,
        count: Callable[[int], None],
        on_progress: Callable[[int], None],
    ) -> tuple[_Results, dict[str, Floats]]:
        """All numbers of a window."""
        alive = count if self.plan.template is None else lambda n: on_progress(0)
        results = self._run(encoded, alive)
        return results, self._baselines(encoded.samples, count)

    def run_blank(self, samples: int, length: int) -> None:
        """One batch of the heaviest kind, to its end; for finding the token budget."""
        ids = torch.zeros(samples, length, dtype=torch.long, device=self.reference.device)
        lengths = torch.full((samples,), length, device=self.reference.device)
        observe(self.reference, ids, lengths, self._plans[DRAWS]).observed.cpu()

    def _halve(self) -> None:
        release(self.reference.device)
        if self.token_budget <= 1:
            raise UserError("memory ran out on a batch of one sample: the model hardly fits")
        self.token_budget //= 2

    def _run(self, encoded: EncodedWindow, on_progress: Callable[[int], None]) -> _Results:
        plan = self.plan
        results = _Results.empty(len(encoded.samples), len(plan.control_heads))
        ids = [sample.id for sample in encoded.samples]
        carried = draws_carried(plan.seed, ids, plan.control_share, plan.further_share)
        for draws, heads in self._plans.items():
            members = np.flatnonzero(carried == draws)
            self._run_members(encoded, members, heads, results, on_progress)
        if len(results.failures) == len(ids) >= SYSTEMATIC:
            raise UserError(f"no sample could be scored: {next(iter(results.failures.values()))}")
        return results

    def _run_members(
        self,
        encoded: EncodedWindow,
        members: NDArray[np.intp],
        plan: HeadPlan,
        results: _Results,
        on_progress: Callable[[int], None],
    ) -> None:
        """Forward passes of some samples; each batch's numbers are read one batch later."""
        lengths = [len(encoded.texts[i].ids) for i in members]
        batches = [
            [int(members[k]) for k in g] for g in group_by_tokens(lengths, self.token_budget)
        ]
        waiting: tuple[list[int], _HostCopy] | None = None
        for batch, copy in self._launched(encoded, batches, plan, results):
            if waiting is not None:
                self._collect(encoded, *waiting, results)
                on_progress(len(waiting[0]))
            waiting = (batch, copy)
        if waiting is not None:
            self._collect(encoded, *waiting, results)
            on_progress(len(waiting[0]))

    def _launched(
        self,
        encoded: EncodedWindow,
        batches: Sequence[list[int]],
        plan: HeadPlan,
        results: _Results,
    ) -> Iterator[tuple[list[int], _HostCopy]]:
        """Start every batch. One that fails is taken apart, and the samples at fault are noted."""
        for batch in batches:
            try:
                launched = self._launch(encoded, batch, plan)
            except FAILURES as error:
                self._raise_if_fatal(error, alone=len(batch) == 1)
                reason = _reason(error, len(encoded.texts[batch[0]].ids))
            else:
                yield batch, launched
                continue
            # Out of the handler, whose traceback keeps the failed batch's tensors.
            release(self.reference.device)
            if len(batch) == 1:
                results.failures[batch[0]] = reason
            else:
                yield from self._launched(encoded, [[i] for i in batch], plan, results)

    def _launch(self, encoded: EncodedWindow, batch: list[int], plan: HeadPlan) -> _HostCopy:
        texts = [encoded.texts[i] for i in batch]
        device = self.reference.device
        ids = pad([text.ids for text in texts], device)
        lengths = torch.tensor([len(text.ids) for text in texts], device=device)
        return _HostCopy(observe(self.reference, ids, lengths, plan))

    def _raise_if_fatal(self, error: BaseException, *, alone: bool) -> None:
        """Let through what is not one sample's fault: memory (halving deals with it), a device."""
        if is_out_of_memory(error):
            if not alone:
                raise error
        elif isinstance(error, torch.AcceleratorError):
            raise UserError(f"the device failed, run again to go on: {one_line(error)}") from error

    def _collect(
        self, encoded: EncodedWindow, batch: list[int], copy: _HostCopy, results: _Results
    ) -> None:
        """Scores of one batch, and its profiles."""
        observed, flat = copy.wait()  # (B, G, T) each
        texts = [encoded.texts[i] for i in batch]
        lengths = np.array([len(text.ids) for text in texts])
        special = np.zeros((len(batch), observed.shape[2]), dtype=bool)
        for row, text in enumerate(texts):
            special[row, : len(text.special)] = text.special
        for name, values in attention_scores(observed, flat, lengths, special).items():
            results.scores[name][batch] = values[:, 0]
            controls = values[:, 1:]
            results.controls[name][batch, : controls.shape[1]] = controls
        results.sink_share[batch] = sink_share(observed[:, 0], lengths)
        for row, i in enumerate(batch):
            results.profiles[i] = observed[row, 0, : lengths[row]].copy()

    def _baselines(
        self, samples: Sequence[Sample], on_batch: Callable[[int], None]
    ) -> dict[str, Floats]:
        if self.plan.template is None:
            return {}
        return baseline_scores(
            self.reference,
            samples,
            template=self.plan.template,
            token_budget=self.token_budget,
            on_batch=on_batch,
        )

    def _shard(
        self, encoded: EncodedWindow, results: _Results, baselines: dict[str, Floats]
    ) -> tuple[pa.Table, Note]:
        rejects = list(encoded.rejects)
        kept: list[int] = []
        profiles: list[NDArray[np.float32]] = []
        for i, sample in enumerate(encoded.samples):
            profile = results.profiles[i]
            reason = results.failures.get(i)
            if reason is None and not all(np.isfinite(v[i]) for v in results.scores.values()):
                reason = "the model's attention is not finite (NaN or infinity)"
            if reason is not None or profile is None:
                rejects.append(Reject(sample.id, sample.source, reason or "not scored"))
            else:
                kept.append(i)
                profiles.append(profile)
        rows = ScoredRows(
            samples=[encoded.samples[i] for i in kept],
            texts=[encoded.texts[i] for i in kept],
            responses=[encoded.responses[i] for i in kept],
            scores={name: v[kept] for name, v in results.scores.items()},
            sink_share=results.sink_share[kept],
            controls={name: v[kept] for name, v in results.controls.items()},
            profiles=profiles,
            baselines={name: v[kept] for name, v in baselines.items()},
        )
        note = Note(
            settings=self.plan.settings_hash,
            shard=encoded.index,
            entries=encoded.size,
            rows=len(kept),
            tokens=sum(len(text.ids) for text in rows.texts),
            token_budget=self.token_budget,
            controls=int(np.isfinite(rows.controls["variance"][:, 0]).sum()),
            rejects=reject_rows(rejects),
        )
        return score_table(rows, self.plan.seed), note


class _HostCopy:
    """Profiles on their way to the CPU, without stopping a GPU that is at the next batch."""

    def __init__(self, profiles: Profiles) -> None:
        both = torch.stack([profiles.observed, profiles.flat])
        # The event is of the tensor's own device: the current one may be another.
        self._event = torch.cuda.Event() if both.is_cuda else None
        if self._event is None:
            self._host: Tensor = both.cpu()
        else:
            self._host = torch.empty(both.shape, dtype=both.dtype, pin_memory=True)
            self._host.copy_(both, non_blocking=True)
            self._event.record(torch.cuda.current_stream(both.device))

    def wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(B, G, T) observed and undifferentiated profiles."""
        if self._event is not None:
            self._event.synchronize()
        observed, flat = self._host.numpy()
        return observed, flat


def _reason(error: BaseException, n_tokens: int) -> str:
    if is_out_of_memory(error):
        return f"out of memory at {n_tokens} tokens"
    return f"the model failed: {one_line(error)}"

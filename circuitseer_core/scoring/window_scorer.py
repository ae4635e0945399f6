"""The scorer of one window: the same object in one process, on eight GPUs or across a cluster.

1. Tokenise the window's texts (in a thread, while the window before it is in the model).
2. Split by what samples carry (control draws, readings of single heads); sort each part by length;
   batches by budget.
3. One forward pass of the body a batch, profiles observed on the way (profiles.py).
4. Profiles to scores (scorers.py) on the CPU, while the device is at the next batch: at the end of
   a window, the first one of the next.

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

from circuitseer_core.aliases import Floats, Index
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model.batches import group_by_tokens, moved, pad
from circuitseer_core.model.encoding import EncodedText
from circuitseer_core.model.memory import fitting, is_out_of_memory, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import DRAWS
from circuitseer_core.scoring.control_heads import FIRST_DRAWS, draws_carried
from circuitseer_core.scoring.encoded_window import EncodedWindow, encode_window
from circuitseer_core.scoring.head_features import carries_features, observe_heads
from circuitseer_core.scoring.host_copy import HostCopy
from circuitseer_core.scoring.opt_in import opt_in_scores, wants_more
from circuitseer_core.scoring.profiles import HeadPlan, observe
from circuitseer_core.scoring.scorers import attention_scores, kept_tokens, sink_share
from circuitseer_core.scoring.shard_plan import ShardPlan
from circuitseer_core.scoring.shards import Note
from circuitseer_core.scoring.window_results import Results, Shard, shard_of
from circuitseer_core.scoring.windows import Window

FAILURES = (RuntimeError, ValueError, IndexError, KeyError, TypeError, ArithmeticError)
"""What a model may raise on one odd sample; memory and device failures are told apart."""

SYSTEMATIC = 16
"""If every one of at least so many samples fails, it is not the samples."""


@dataclass(frozen=True, slots=True)
class _Launched:
    """A batch on the device: which samples of which window, and where its numbers go."""

    encoded: EncodedWindow
    batch: list[int]
    copy: HostCopy
    results: Results
    on_progress: Callable[[int], None]


class WindowScorer:
    """Scores windows with one model on one device.

    Attributes:
        token_budget: of a batch, in tokens; halved for good when memory runs out.
    """

    def __init__(self, reference: ReferenceModel, plan: ShardPlan) -> None:
        self.reference, self.plan = reference, plan
        self.token_budget = plan.token_budget
        self._launched_last: _Launched | None = None
        self._begun: Callable[[], None] | None = None
        draws = [draw for draw in plan.control_heads if draw]
        # By the number of draws that a sample carries, and whether single heads are read of it.
        self._plans = {
            (carried, read): HeadPlan(
                [plan.heads, *draws[:carried]],
                reference.device,
                alone=plan.feature_heads if read else (),
            )
            for carried in (DRAWS, FIRST_DRAWS, 0)
            for read in (True, False)
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
                0: a sign of life). Counted are those of the last and most costly numbers: of the
                influence, else of the baselines, else of the profiles.

        Raises:
            UserError: the device failed, or every single sample did; nothing is to be written.
        """
        shards: list[Shard] = []
        self.begin(encoded, on_progress, shards.append)
        self.settle()
        return shards[0]()

    def begin(
        self,
        encoded: EncodedWindow,
        on_progress: Callable[[int], None],
        on_done: Callable[[Shard], None],
    ) -> None:
        """Start every batch of a window. The device is not waited for at its end.

        Args:
            on_progress: see :meth:`score`.
            on_done: gets what makes the shard, in any thread, once the numbers are there: when the
                next window has begun, or with :meth:`settle`.

        Raises:
            UserError: see :meth:`score`.
        """
        while True:
            done = [0]

            def count(n: int, done: list[int] = done) -> None:
                done[0] += n
                on_progress(n)

            scored = fitting(partial(self._scored, encoded, count, on_progress))
            if scored is not None:
                break
            if self._launched_last is not None and self._launched_last.encoded is encoded:
                self._launched_last = None
            self._halve()
            on_progress(-done[0])
        if self._begun is not None:  # a window without a single batch came after it
            self.settle()
        shard = partial(shard_of, encoded, *scored, self.plan, self.token_budget)
        self._begun = partial(on_done, shard)

    def settle(self) -> None:
        """Read the numbers of the last batch, and hand over the window that ends with it."""
        last = self._launched_last
        if last is not None:
            self._collect(last)
            last.on_progress(len(last.batch))
            self._launched_last = None  # only now: a Ctrl-C while reading must not lose the batch
        begun, self._begun = self._begun, None
        if begun is not None:
            begun()

    def _scored(
        self,
        encoded: EncodedWindow,
        count: Callable[[int], None],
        on_progress: Callable[[int], None],
    ) -> tuple[Results, dict[str, Floats]]:
        """All numbers of a window."""

        def alive(n: int) -> None:
            on_progress(0)

        plan = self.plan
        results = self._run(encoded, alive if wants_more(plan) else count)
        extra = opt_in_scores(
            self.reference, plan, encoded, results.failures, results.controls,
            token_budget=self.token_budget, count=count, alive=alive,
        )  # fmt: skip
        return results, extra

    def run_blank(self, samples: int, length: int) -> None:
        """One batch of the heaviest kind, to its end; for finding the token budget."""
        ids = torch.zeros(samples, length, dtype=torch.long, device=self.reference.device)
        lengths = torch.full((samples,), length, device=self.reference.device)
        kept = torch.ones_like(ids, dtype=torch.bool)
        plan = self._plans[DRAWS, bool(self.plan.feature_heads)]
        observe_heads(self.reference, ids, lengths, kept, plan).observed.cpu()

    def _halve(self) -> None:
        release(self.reference.device)
        if self.token_budget <= 1:
            raise UserError("memory ran out on a batch of one sample: the model hardly fits")
        self.token_budget //= 2

    def _run(self, encoded: EncodedWindow, on_progress: Callable[[int], None]) -> Results:
        plan = self.plan
        draws, heads = len(plan.control_heads), len(plan.feature_heads)
        results = Results.empty(len(encoded.samples), draws, heads)
        ids = [sample.id for sample in encoded.samples]
        carried = draws_carried(plan.seed, ids, plan.control_share, plan.further_share)
        read = np.zeros(len(ids), dtype=bool)
        if plan.feature_heads:
            read = carries_features(plan.seed, ids, plan.feature_share)
        for (number, readings), observed in self._plans.items():
            members = np.flatnonzero((carried == number) & (read == readings))
            self._run_members(encoded, members, observed, results, on_progress)
        if len(results.failures) == len(ids) >= SYSTEMATIC:
            raise UserError(f"no sample could be scored: {next(iter(results.failures.values()))}")
        return results

    def _run_members(
        self,
        encoded: EncodedWindow,
        members: Index,
        plan: HeadPlan,
        results: Results,
        on_progress: Callable[[int], None],
    ) -> None:
        """Start forward passes of some samples; each batch's numbers are read one batch later."""
        lengths = [len(encoded.texts[i].ids) for i in members]
        batches = [
            [int(members[k]) for k in g] for g in group_by_tokens(lengths, self.token_budget)
        ]
        for batch, copy in self._launched(encoded, batches, plan, results):
            self.settle()
            self._launched_last = _Launched(encoded, batch, copy, results, on_progress)

    def _launched(
        self,
        encoded: EncodedWindow,
        batches: Sequence[list[int]],
        plan: HeadPlan,
        results: Results,
    ) -> Iterator[tuple[list[int], HostCopy]]:
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

    def _launch(self, encoded: EncodedWindow, batch: list[int], plan: HeadPlan) -> HostCopy:
        texts = [encoded.texts[i] for i in batch]
        device = self.reference.device
        ids = pad([text.ids for text in texts], device)
        counts = [len(text.ids) for text in texts]
        lengths = moved(torch.tensor(counts), device)
        if not plan.alone:
            return HostCopy(observe(self.reference, ids, lengths, plan))
        special = _special(texts, ids.shape[1])
        kept = moved(torch.from_numpy(kept_tokens(np.array(counts), special)), device)
        return HostCopy(observe_heads(self.reference, ids, lengths, kept, plan))

    def _raise_if_fatal(self, error: BaseException, *, alone: bool) -> None:
        """Let through what is not one sample's fault: memory (halving deals with it), a device."""
        if is_out_of_memory(error):
            if not alone:
                raise error
        elif isinstance(error, torch.AcceleratorError):
            raise UserError(f"the device failed, run again to go on: {one_line(error)}") from error

    def _collect(self, launched: _Launched) -> None:
        """Scores of one batch, and its profiles."""
        batch, results = launched.batch, launched.results
        observed, flat, readings = launched.copy.wait()  # (B, G, T) twice, (B, F, H)
        texts = [launched.encoded.texts[i] for i in batch]
        lengths = np.array([len(text.ids) for text in texts])
        special = _special(texts, observed.shape[2])
        if readings is not None:
            results.readings[batch] = readings
        for name, values in attention_scores(observed, flat, lengths, special).items():
            results.scores[name][batch] = values[:, 0]
            controls = values[:, 1:]
            results.controls[name][batch, : controls.shape[1]] = controls
        results.sink_share[batch] = sink_share(observed[:, 0], lengths)
        for row, i in enumerate(batch):
            results.profiles[i] = observed[row, 0, : lengths[row]].copy()


def _special(texts: Sequence[EncodedText], width: int) -> NDArray[np.bool_]:
    """(B, T) which tokens are the tokenizer's special ones."""
    special = np.zeros((len(texts), width), dtype=bool)
    for row, text in enumerate(texts):
        special[row, : len(text.special)] = text.special
    return special


def _reason(error: BaseException, n_tokens: int) -> str:
    if is_out_of_memory(error):
        return f"out of memory at {n_tokens} tokens"
    return f"the model failed: {one_line(error)}"

"""From per-sample loss changes to reasoning heads: post-processing, no model needed.

Everything here is a pure function of the importance table (id, set, layer, head, delta_loss), the
probe table (id, set, source, base_loss) and heads.parquet.

1. Importance I(l, h) = mean over probe samples of delta_loss; stderr = s / sqrt(n).
2. The reasoning heads are the ceil(5 % of all heads) of highest I (arXiv 2510.18470).
3. With a contrast set, r = mean delta_loss / mean clean loss on a set (a ratio estimator), and
   specificity = r_probe - r_contrast: what the head does for the probe beyond what any text needs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from operator import index
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Head
from circuitseer_core.arguments import described
from circuitseer_core.distributions import t95, upper_tail
from circuitseer_core.errors import UserError
from circuitseer_core.files import user_path

SHARE = "0.05"
"""Share of all heads that are the reasoning heads (arXiv 2510.18470), as a rule says it."""
FALSE_DISCOVERIES = 0.05
"""Share of heads without effect among those that ``bh`` takes, at most and on average."""


def head_count(share: str | float, n_heads: int) -> int:
    """ceil(share x heads), at least 1, in exact decimal arithmetic (0.05 x 280 is 14, not 15)."""
    return max(1, math.ceil(Decimal(str(share)) * n_heads))


def summarise(importance: pd.DataFrame, set_name: str = "probe") -> pd.DataFrame:
    """Mean, standard error and n of every head on one set: layer, head, importance, stderr, n.

    The standard error of a single sample is NaN.
    """
    rows = importance[importance["set"] == set_name]
    table = rows.groupby(["layer", "head"])["delta_loss"].agg(["mean", "std", "count"])
    table = table.reset_index().rename(columns={"mean": "importance", "count": "n"})
    table["stderr"] = table.pop("std") / np.sqrt(table["n"])
    return table[["layer", "head", "importance", "stderr", "n"]]


def relative_importance(
    importance: pd.DataFrame, probe: pd.DataFrame, set_name: str
) -> pd.DataFrame:
    """r = mean delta_loss / mean clean loss of every head on one set, with its standard error.

    The error is the ratio estimator's: std(delta - r * clean) / (mean clean * sqrt(n)).
    Columns: layer, head, ratio, ratio_stderr.
    """
    rows = importance[importance["set"] == set_name]
    clean = probe.loc[probe["set"] == set_name, ["id", "base_loss"]]
    rows = rows.merge(clean, on="id")
    grouped = rows.groupby(["layer", "head"])
    mean_clean = grouped["base_loss"].mean()
    ratio = grouped["delta_loss"].mean() / mean_clean
    at = pd.MultiIndex.from_frame(rows[["layer", "head"]])
    residual = rows["delta_loss"] - ratio.reindex(at).to_numpy() * rows["base_loss"]
    spread = residual.groupby([rows["layer"], rows["head"]]).agg(["std", "count"])
    stderr = spread["std"] / (mean_clean * np.sqrt(spread["count"]))
    out = pd.DataFrame({"ratio": ratio, "ratio_stderr": stderr})
    return out.reset_index()


def head_table(
    importance: pd.DataFrame,
    probe: pd.DataFrame,
    field: set[Head] | None,
    noise_floor: float | None,
) -> pd.DataFrame:
    """heads.parquet: every evaluated head with its estimate, error, rank and flags.

    Args:
        field: heads that got the whole probe; None where all did. The others are ``raced_out`` and
            rank behind every finalist.
        noise_floor: what one per-sample ΔL is off by, in nats; None where it was not measured. A
            head whose mean is within 2 * floor / sqrt(n) is ``below_noise``.
    """
    table = summarise(importance)
    pairs = list(zip(table["layer"], table["head"], strict=True))
    table["raced_out"] = [field is not None and p not in field for p in pairs]
    table["rank"] = rank_heads(table, "importance")
    noise = 0.0 if noise_floor is None else 2 * noise_floor / np.sqrt(table["n"])
    table["below_noise"] = (table["importance"].abs() <= noise) & (noise_floor is not None)
    if (importance["set"] == "contrast").any():
        table = _with_contrast(table, importance, probe)
    return table.sort_values(["layer", "head"], ignore_index=True)


def _with_contrast(
    table: pd.DataFrame, importance: pd.DataFrame, probe: pd.DataFrame
) -> pd.DataFrame:
    keys = ["layer", "head"]
    contrast = summarise(importance, "contrast")[[*keys, "importance"]]
    table = table.merge(contrast.rename(columns={"importance": "contrast_importance"}), on=keys)
    on_probe = relative_importance(importance, probe, "probe")
    on_contrast = relative_importance(importance, probe, "contrast")
    both = on_probe.merge(on_contrast, on=keys, suffixes=("", "_contrast"))
    both["specificity"] = both["ratio"] - both["ratio_contrast"]
    both["specificity_stderr"] = np.hypot(both["ratio_stderr"], both["ratio_stderr_contrast"])
    table = table.merge(both[[*keys, "specificity", "specificity_stderr"]], on=keys)
    table["specificity_rank"] = rank_heads(table, "specificity")
    return table


def rank_heads(table: pd.DataFrame, by: str) -> pd.Series:
    """1-based ranks, highest first, finalists before raced-out heads, ties by (layer, head)."""
    order = table.assign(_order=range(len(table))).sort_values(
        ["raced_out", by, "layer", "head"], ascending=[True, False, True, True]
    )
    ranks = pd.Series(range(1, len(table) + 1), index=order.index, dtype="int64")
    return ranks.reindex(table.index)


def parse_head_list(text: str) -> list[Head]:
    """``"18.8,7.2"`` (layer.head, separated by commas, spaces or lines) to pairs, in order."""
    heads: list[Head] = []
    for item in text.replace(",", " ").split():
        layer, dot, head = item.partition(".")
        if not (dot and layer.isdecimal() and head.isdecimal()):
            raise UserError(f"{item!r} is not layer.head, as in 18.8")
        heads.append((int(layer), int(head)))
    return list(dict.fromkeys(heads))


def heads_rule(value: Any) -> str:
    """A rule for :func:`select_heads` as text, from what a call from Python may give.

    Args:
        value: text (as it is), a share or a count, ``(layer, head)`` pairs in any sequence, a frame
            with columns ``layer`` and ``head``, or the path of a file with a list.

    Raises:
        UserError: anything else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return f"@{os.fspath(value)}"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{Decimal(repr(float(value))):f}"
    return head_list(value_pairs(value))


def head_list(heads: Iterable[Head]) -> str:
    """Heads as a person types them, ``18.8,7.2``; a single one as ``18.8,``, which is no share."""
    names = [f"{layer}.{head}" for layer, head in heads]
    return ",".join(names) + ("," if len(names) == 1 else "")


def value_pairs(value: Any) -> list[Head]:
    """(layer, head) pairs from a sequence of them or from a frame with these columns.

    Raises UserError where ``value`` is neither, or empty.
    """
    try:
        if isinstance(value, pd.DataFrame):
            value = zip(value["layer"], value["head"], strict=True)
        pairs = [(index(layer), index(head)) for layer, head in value]
    except (TypeError, ValueError, KeyError):
        pairs = []
    if not pairs or any(layer < 0 or head < 0 for layer, head in pairs):
        raise UserError(
            f"heads: {described(value)} is none of: a share (0.05), a count (14), a rule in words, "
            "pairs (layer, head) as in [(18, 8)], or a frame with columns layer and head"
        )
    return list(dict.fromkeys(pairs))


def select_heads(heads: pd.DataFrame, rule: str = SHARE, rank_by: str = "importance") -> list[Head]:
    """The reasoning heads under a rule, best first.

    Args:
        heads: heads.parquet.
        rule: a share up to 1 with a point (``0.05``), a count (``14``), ``lcb`` (every head whose
            95 % lower bound is above 0), ``bh`` (the same with 5 % false discoveries), an explicit
            list (``"18.8,7.2"``; a single head may be written ``18.8,``), or ``@FILE`` holding such
            a list.
        rank_by: ``importance`` (the paper) or ``specificity`` (needs a contrast set).

    Raises:
        UserError: malformed rule, unknown heads, a set wider than the final field, no contrast.
    """
    if rank_by not in ("importance", "specificity"):
        raise UserError(f"cannot rank by {rank_by!r}: choose importance or specificity")
    if rank_by not in heads:
        raise UserError(
            "this run has no contrast set: detect with --contrast to rank by specificity"
        )
    explicit = _explicit(rule)
    if explicit is not None:
        return _known(explicit, heads)
    ordered = heads.sort_values("rank" if rank_by == "importance" else "specificity_rank")
    if rule in ("lcb", "bh"):
        kept = _significant(ordered[~ordered["raced_out"]], rule, rank_by, len(heads))
    else:
        kept = ordered.head(_wanted(rule, len(heads)))
        if raced(kept):
            finalists = int((~heads["raced_out"]).sum())
            raise UserError(
                f"only {finalists} heads were measured on the whole probe: "
                "detect with --mode exact for a wider set"
            )
    return [(int(a), int(b)) for a, b in zip(kept["layer"], kept["head"], strict=True)]


def _significant(field: pd.DataFrame, rule: str, rank_by: str, n_heads: int) -> pd.DataFrame:
    """Of a field in order of rank the heads that are above zero beyond their sampling error.

    ``lcb`` looks at each head alone, so that ``lcb_by_chance`` of heads without any effect pass.
    ``bh`` bounds the share of such heads among those that pass by 5 % (Benjamini and Hochberg 1995,
    one-sided t tests). It counts all ``n_heads`` of the model as tested: after a race the field is
    the best of them by the very samples that are tested here, so a head that was taken out counts
    as one with p = 1.
    """
    error = field["stderr" if rank_by == "importance" else "specificity_stderr"]
    if rule == "lcb":
        kept = field[field[rank_by] - t95(field["n"]) * error > 0]
    else:
        chance = upper_tail(field[rank_by] / error, field["n"])
        at = np.argsort(chance, kind="stable")
        passing = chance[at] <= FALSE_DISCOVERIES * np.arange(1, len(at) + 1) / n_heads
        last = int(np.flatnonzero(passing)[-1]) + 1 if passing.any() else 0
        kept = field[np.isin(np.arange(len(field)), at[:last])]
    if kept.empty:
        raise UserError(
            f"no head is above 0 beyond its sampling error (--heads {rule}): choose a share or a "
            "count"
        )
    return kept


def lcb_by_chance(heads: pd.DataFrame) -> float:
    """How many heads would pass ``lcb`` if no head had any effect: 2.5 % of all.

    After a race (:func:`raced`) it is the most: those that would pass may have been taken out, but
    those that are left were chosen for being high.
    """
    return 0.025 * len(heads)


def raced(heads: pd.DataFrame) -> bool:
    """Whether a race took heads out."""
    return bool(heads["raced_out"].any())


def _explicit(rule: str) -> list[Head] | None:
    if rule.startswith("@"):
        path = user_path(rule[1:])
        if not os.path.isfile(path):
            raise UserError(f"head list {path} does not exist")
        try:
            return parse_head_list(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error
    if "," in rule:
        return parse_head_list(rule)
    layer, dot, head = rule.partition(".")
    is_head = dot and layer.isdecimal() and head.isdecimal() and float(rule) > 1
    return parse_head_list(rule) if is_head else None


def _known(wanted: list[Head], heads: pd.DataFrame) -> list[Head]:
    known = set(zip(heads["layer"], heads["head"], strict=True))
    missing = [f"{a}.{b}" for a, b in wanted if (a, b) not in known]
    if missing or not wanted:
        raise UserError(
            f"the model has no head {', '.join(missing)}" if missing else "empty head list"
        )
    return wanted


def _wanted(rule: str, n_heads: int) -> int:
    try:
        value = Decimal(rule)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise UserError(
            f"--heads {rule!r} is none of: a share (0.05), a count (14), lcb, bh, a list, @FILE"
        )
    if "." in rule and 0 < value <= 1:
        return head_count(rule, n_heads)
    if "." not in rule and 1 <= value <= n_heads:
        return int(value)
    raise UserError(f"--heads {rule} is out of range for {n_heads} heads")


def finalists(heads: pd.DataFrame) -> list[Head]:
    """Heads measured on the whole probe."""
    kept = heads[~heads["raced_out"]]
    return [(int(a), int(b)) for a, b in zip(kept["layer"], kept["head"], strict=True)]

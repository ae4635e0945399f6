"""Where the scores of an export come from, in words: a sentence for every kind of scorer.

A card that says of every draw that reasoning heads chose it would be wrong of most: scores may be
imported, fitted, or lengths, heads may be named by hand or pulled, and a uniform draw has none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from circuitseer_core.export.card_parts import model_name
from circuitseer_core.export.manifest import AnyManifest, ExportManifest
from circuitseer_core.markdown import code, inline
from circuitseer_core.runs.columns import (
    ATTENTION_SCORERS,
    BASELINE_SCORERS,
    CALIBRATED,
    INFLUENCE,
    PLAIN_SCORERS,
)
from circuitseer_core.runs.records import HeadsSource, ImportedScores, ScoringRecord
from circuitseer_core.wording import count

Kind = Literal["attention", "influence", "baseline", "calibrated", "imported", "other"]
_SINGLE_HEAD = re.compile(r"(\d+)\.\d+")


def kind_of(scorer: str, scoring: ScoringRecord) -> Kind:
    """What a score is made of."""
    if scorer in ATTENTION_SCORERS:
        return "attention"
    if scorer == INFLUENCE:
        return "influence"
    if scorer in (*PLAIN_SCORERS, *BASELINE_SCORERS):
        return "baseline"
    if scorer == CALIBRATED:
        return "calibrated"
    return "other" if _imported(scorer, scoring) is None else "imported"


def chosen_by(manifest: ExportManifest) -> str:
    """What chose the rows: the end of a sentence on the subset."""
    scorer = manifest.selection.settings.scorer
    if manifest.selection.temperature == float("inf"):
        return "drawn at random, without regard to any score, with CircuitSeer"
    whose = "heads of a language model that were named by hand"
    if not _listed(manifest.scoring.heads_rule or ""):
        whose = "a language model's reasoning heads"
    words = {
        "attention": f"the attention of {whose}",
        "influence": f"how much the loss changes without {whose}",
        "calibrated": "readings of a language model's attention heads, fitted to a measure",
        "imported": "scores that were made elsewhere",
    }
    plain = {
        "length": "their length in tokens",
        "random": "a random number each",
        "perplexity": "the perplexity of their responses",
        "ifd": "IFD (instruction-following difficulty)",
    }
    kind = kind_of(scorer, manifest.scoring)
    return f"chosen by {words.get(kind) or plain.get(scorer) or code(scorer)} with CircuitSeer"


def scores_sentence(manifest: ExportManifest) -> str:
    """Which score the subset was drawn by, or that it was by none."""
    scorer = manifest.selection.settings.scorer
    words = score_words(manifest, scorer)
    if manifest.selection.temperature == float("inf"):
        column = code(f"{manifest.export.prefix}score")
        return f"No score had a part in the draw; the column {column} holds {words}."
    return f"Scores: {words}."


def score_words(manifest: AnyManifest, scorer: str) -> str:
    """What a score is: "`variance` over 14 heads of …"."""
    scoring, model = manifest.scoring, model_name(manifest.model)
    done = _imported(scorer, scoring)
    words = {
        "length": f"the tokens of the scored text ({scoring.text}) by the tokenizer of {model}",
        "random": "a hash of every row's id and the seed",
        "perplexity": f"of the response after its prompt, by {model}; no choice of heads is in it",
        "ifd": "the loss of the response after its prompt over that of the response alone, by "
        f"{model}; no choice of heads is in it",
        CALIBRATED: f"from readings of single heads of {model}. Scored text: {scoring.text}",
        INFLUENCE: f"the loss without {heads_words(manifest)}, relative to the clean one",
    }
    if scorer in ATTENTION_SCORERS:
        return f"{code(scorer)} over {heads_words(manifest)}. Scored text: {scoring.text}"
    if done is not None:
        return f"{code(scorer)}, {_joined(scorer, done)}"
    return f"{code(scorer)}, {words.get(scorer, 'a column of the scoring')}"


def heads_words(manifest: AnyManifest) -> str:
    """How many heads, and what chose them."""
    of = f"{count(len(manifest.heads), 'head')} of {model_name(manifest.model)}"
    return f"{of}, {_chosen(manifest)}"


def _chosen(manifest: AnyManifest) -> str:
    scoring, detect = manifest.scoring, manifest.detect
    rule = code(scoring.heads_rule)
    if _listed(scoring.heads_rule or ""):
        return f"named by hand (rule {rule}): no ablation of this run chose them"
    by = f"rule {rule}, ranked by {inline(scoring.rank_by)}"
    source = scoring.heads_from or (detect.heads_from if detect else None)
    if source is not None:
        elsewhere = f"chosen by ablation in another run{_samples(source.n_probe)}"
        return f"{elsewhere} ({_map(source, manifest)}; {by})"
    return f"chosen by ablation{_samples(detect.n_probe if detect else None)} ({by})"


def _map(source: HeadsSource, manifest: AnyManifest) -> str:
    """Which head map that was, and that it is of other weights where it is."""
    at = f" at {inline(source.revision[:12])}" if source.revision else ""
    name = f"head map {code(source.repo)}{at}" if source.repo else "a head map"
    weights = manifest.model.weights_hash if manifest.model else None
    return name + (", measured on other weights" if source.weights_hash != weights else "")


def _samples(n_probe: int | None) -> str:
    return "" if n_probe is None else f" on {count(n_probe, 'probe sample')}"


def _listed(rule: str) -> bool:
    """Whether a rule names the heads themselves, as ``detection.heads`` reads it."""
    single = _SINGLE_HEAD.fullmatch(rule)
    return rule.startswith("@") or "," in rule or (single is not None and float(rule) > 1)


def _imported(scorer: str, scoring: ScoringRecord) -> ImportedScores | None:
    """The import that a scorer comes from; the last, where it was replaced."""
    return next((done for done in reversed(scoring.imported) if scorer in done.columns), None)


def _joined(scorer: str, done: ImportedScores) -> str:
    """Which file, and what of it was joined."""
    files = ", ".join(
        code(entry.file if entry.file.startswith("hf:") else Path(entry.file).name)
        + (f" (SHA-256 {inline(entry.sha256[:12])})" if entry.sha256 else "")
        for entry in done.files
    )
    ranks = ", as ranks between 0 and 1" if done.ranks else ""
    origin = f"made elsewhere: column {code(done.columns[scorer])} of {files or 'a file'}{ranks}"
    joined = (
        f"{done.by_id + done.by_prompt:,} of its {count(done.rows, 'row')} joined "
        f"({done.by_id:,} by id, {done.by_prompt:,} by prompt)"
    )
    have = done.scored.get(scorer)
    scored = "" if have is None else f", {count(have, 'sample')} scored"
    differ = done.conflicting.get(scorer, 0)
    unsure = f", {differ:,} left without for what it says twice" if differ else ""
    return f"{origin}; {joined}{scored}{unsure}"

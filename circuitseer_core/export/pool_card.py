"""The card of a whole scored pool, and which card belongs to a manifest."""

from __future__ import annotations

from circuitseer_core.export.card import dataset_card
from circuitseer_core.export.card_parts import (
    front_matter,
    marker,
    other_columns,
    reproduce,
    trainers,
)
from circuitseer_core.export.manifest import AnyManifest, PoolManifest
from circuitseer_core.export.origin import heads_words, kind_of, score_words
from circuitseer_core.markdown import code, inline

_OF_HEADS = {
    "attention": "a score of the heads' attention",
    "influence": "the loss without the heads, relative to the clean one",
}


def card_of(manifest: AnyManifest, file_name: str, data_files: str) -> str:
    """The card of an export.

    Args:
        file_name: the exported file or folder.
        data_files: the pattern of data files for the Hub's viewer, relative to the card.
    """
    if isinstance(manifest, PoolManifest):
        return _pool_card(manifest, file_name, data_files)
    return dataset_card(manifest, file_name, data_files)


def _pool_card(manifest: PoolManifest, file_name: str, data_files: str) -> str:
    export, scoring = manifest.export, manifest.scoring
    title = f"{manifest.run.name}: {manifest.scores}, all scored rows"
    prefix = export.prefix
    added = [
        f"- `{prefix}id`: the sample's id in the run",
        f"- `{prefix}source`: the dataset it came from",
        f"- `{prefix}n_tokens`: scored tokens",
        *(f"- {code(prefix + name)}: {_score(manifest, name)}" for name in manifest.scorers),
    ]
    rejected = f" {scoring.rejected:,} rows were rejected while scoring." * bool(scoring.rejected)
    of_heads = [name for name in manifest.scorers if kind_of(name, scoring) in _OF_HEADS]
    heads = f"The heads are {heads_words(manifest)}. " if of_heads else ""
    parts = [
        front_matter(export.rows, title, data_files),
        marker(file_name),
        f"# {inline(title)}",
        (
            f"{export.rows:,} samples with the scores that CircuitSeer keeps of them. {heads}"
            f"Scored text: {scoring.text}. Nothing was drawn.{rejected} The rows keep the licences "
            "of the datasets that they came from."
        ),
        "## Columns\n\nThe original columns, untouched, and:",
        "\n".join(added),
        "A score that a row does not have is null.",
        *other_columns(export),
        reproduce(manifest, file_name),
        *trainers(export.format, file_name),
    ]
    return "\n\n".join(parts) + "\n"


def _score(manifest: PoolManifest, name: str) -> str:
    """What a column of scores is; the heads stand once above."""
    kind = kind_of(name, manifest.scoring)
    return _OF_HEADS.get(kind) or score_words(manifest, name)

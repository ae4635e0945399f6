"""A head map from a dataset repository on the Hub, checked before anything uses it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitseer_core.detection.head_map import (
    MANIFEST,
    MOST_BYTES,
    TABLE,
    HeadMap,
    read_head_map,
    refuse_other_model,
)
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.export.push import TOKEN_VARIABLES, hub_errors
from circuitseer_core.files import cache_home, replace_folder, sweep_beside, write_parquet
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectOptions, DetectRecord, ModelRecord
from circuitseer_core.runs.reproduction import pull_words
from circuitseer_core.runs.stage import working

_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)


def pull_heads(
    repo: str,
    out: Path | None = None,
    *,
    run: Path | None = None,
    model: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    force: bool = False,
) -> HeadMap:
    """Fetch and check a head map; with ``run`` also that it fits, or make a run of it.

    Args:
        repo: ``owner/name`` or ``owner/name@revision``.
        out: the folder to put it into; by default one of the cache, by repository and commit.
        run: a run whose model has to be the map's, or a new folder.
        model: the model of a new run.
        revision: its revision on the Hub; by default the one that the map was measured on, where
            the model is the map's by name.
        allow_pickle: load the model's checkpoint though it is no safetensors file.
        force: other weights are no reason to refuse.

    Raises:
        UserError: no such repository, no head map, another model's, a run that has heads, or a
            folder that is not ours to replace.
    """
    asked = _REPOSITORY.fullmatch(repo)
    if asked is None:
        raise UserError(f"{repo!r} is not owner/name or owner/name@revision")
    fresh = run is not None and not (run / TABLE).is_file()
    if run is not None and fresh and model is None and not (run / "run.json").is_file():
        raise UserError("say which model the new run is of: --model MODEL")
    with tempfile.TemporaryDirectory() as folder:
        commit = _download(asked["repo"], asked["revision"], Path(folder))
        head_map = read_head_map(folder)
        head_map.record.repo, head_map.record.revision = asked["repo"], commit
        head_map.record.write(Path(folder) / MANIFEST)
        if run is not None and not fresh:
            refuse_other_model(head_map, Run.open(run).model, force=force)
        target = out or _home(asked["repo"], commit)
        _put(Path(folder), target)
    kept = HeadMap(target, head_map.record, head_map.heads)
    if run is not None and fresh:
        from circuitseer_core.model.loading import pickle_allowed

        with pickle_allowed(allow_pickle):
            _into_run(kept, run, model, revision, force)
    return kept


def _download(repo: str, revision: str | None, folder: Path) -> str:
    """Put the files of a map into ``folder``, none larger than a map is; returns the commit."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError("pulling needs huggingface_hub: pip install huggingface_hub") from error
    token = next((t for name in TOKEN_VARIABLES if (t := os.environ.get(name, "").strip())), "")
    api: Any = HfApi(token=token or False)
    where = repo if revision is None else f"{repo}@{revision}"
    try:
        info = api.dataset_info(repo, revision=revision, files_metadata=True)
        sizes = {file.rfilename: file.size for file in info.siblings or []}
        for name, most in MOST_BYTES.items():
            if name not in sizes:
                raise UserError(f"{where} is no head map: it has no {name}")
            if sizes[name] is None or sizes[name] > most:
                raise UserError(f"{where}: {name} is larger than a head map is ({most >> 20} MB)")
            with tempfile.TemporaryDirectory() as cache:
                path = api.hf_hub_download(
                    repo, name, repo_type="dataset", revision=info.sha, cache_dir=cache
                )
                shutil.copyfile(path, folder / name)
    except hub_errors() as error:
        reason = one_line(error)
        reason = reason.replace(token, "***") if token else reason
        raise UserError(f"cannot pull {where}: {reason}") from error
    return str(info.sha)


def _home(repo: str, commit: str) -> Path:
    """Where a map is kept once a machine."""
    return cache_home() / "head-maps" / f"{repo.replace('/', '--')}--{commit[:12]}"


def _put(folder: Path, target: Path) -> None:
    """The files in the place of an earlier map. Raises UserError where there is anything else."""
    if target.is_file():
        raise UserError(f"{target} is a file: a head map is a folder")
    if target.is_dir() and {path.name for path in target.iterdir()} - set(MOST_BYTES):
        raise UserError(f"{target} holds other files: choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(target)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(folder, aside)
        replace_folder(aside, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _into_run(
    head_map: HeadMap, place: Path, model: str | None, revision: str | None, force: bool
) -> None:
    """Make a run whose heads are the map's; its model is loaded once, to know its weights."""
    run = Run.create(place)
    with working(run, "pull-heads", discard_empty=True):
        known = run.record.model
        if known is None:
            if model is None:
                raise UserError("say which model the new run is of: --model MODEL")
            from circuitseer_core.model.loading import load_model

            if revision is None and model == head_map.record.model.id:
                revision = head_map.record.model.revision
            known = ModelRecord(**asdict(load_model(model, revision=revision)[1]))
        refuse_other_model(head_map, known, force=force)
        measured, source = head_map.record.measured, head_map.record.source()
        words = ["--run", str(place), "--model", known.id, *(["--force"] if force else [])]
        words += [] if revision is None else ["--revision", revision]
        with run.editing() as record:
            record.model = known
            record.detect = DetectRecord(
                settings=DetectOptions(
                    mode=measured.mode,
                    probe_criterion=measured.probe_criterion,
                    loss_tokens=measured.loss_tokens or "response",
                    ablation=measured.ablation or "uniform",
                    epsilon=measured.epsilon,
                ),
                template=measured.template,
                max_length=measured.max_length,
                n_probe=measured.n_probe,
                noise_floor=measured.noise_floor,
                heads_from=source,
                command=as_typed(pull_words(source, words)),
            )
        write_parquet(run.heads_path, head_map.heads)
        head_map.record.write(run.path / MANIFEST)

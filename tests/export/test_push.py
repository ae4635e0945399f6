"""Sending an export to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export import push
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run


class FakeHub:
    """Stands in for huggingface_hub.HfApi and remembers what it was asked."""

    calls: list[tuple[str, dict[str, Any]]]

    def __init__(self, token: str) -> None:
        FakeHub.calls = [("token", {"token": token})]

    def create_repo(self, repo: str, **options: Any) -> None:
        FakeHub.calls.append(("create", {"repo": repo, **options}))

    def create_commit(self, repo: str, operations: list[Any], **options: Any) -> None:
        names = [operation.path_in_repo for operation in operations]
        FakeHub.calls.append(("commit", {"repo": repo, "names": names, **options}))
        if repo.endswith("refused"):
            raise OSError("403 Forbidden for token hf_secret")


def test_push_takes_the_token_from_the_environment_only(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", FakeHub)
    for name in push.TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="set HF_TOKEN"):
        export(run, None, tmp_path / "a.jsonl", push="me/subset")
    assert not list(tmp_path.glob("a.jsonl*")), "the token is asked for before any work"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = export(run, None, tmp_path / "a.jsonl", push="me/subset")
    assert done.address == "https://huggingface.co/datasets/me/subset"
    kinds = [kind for kind, _ in FakeHub.calls]
    assert kinds == ["token", "create", "commit"]
    assert FakeHub.calls[1][1]["repo_type"] == "dataset" and FakeHub.calls[1][1]["private"]
    assert FakeHub.calls[2][1]["names"] == ["a.jsonl", "a.jsonl.manifest.json", "README.md"]
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hf_secret" not in path.read_bytes()
    with pytest.raises(UserError, match=r"cannot push to me/refused: 403 .* \*\*\*$"):
        export(run, None, tmp_path / "a.jsonl", push="me/refused")

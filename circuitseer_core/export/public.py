"""What leaves the machine with a push: manifest and card without the paths of this machine.

An absolute path says a user's name and a folder layout, and means nothing elsewhere. In the pushed
manifest and card only its last part stays; the manifest is sealed again. ``verify`` of a pushed
copy is told where the run is (``--run``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from circuitseer_core.export.manifest import AnyManifest, read_manifest, seal
from circuitseer_core.export.pool_card import card_of
from circuitseer_core.files import write_text

_PATH = re.compile(
    r"""(?<![^\s='":,\[(])      # a path begins a text, or follows a space, = or a quote
        (?:~|[A-Za-z]:)?[/\\]    # absolute, in a home or on a drive
        (?:[^\s'"/\\]+[/\\])*    # its folders
        ([^\s'"/\\]+)            # what stays
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(
    r"""(?<=(['"]))([^'"=/\\]*=)?   # within quotes folders may have spaces; a name may stand before
        (?:~|[A-Za-z]:)?[/\\](?:[^'"/\\]+[/\\])*([^'"/\\]+)(?=\1)
    """,
    re.VERBOSE,
)
_WHOLE = re.compile(r"([\w.-]+=)?(?:~|[A-Za-z]:)?[/\\].*[/\\]([^/\\]+)", re.DOTALL)
"""A text that is a path itself, with spaces or without."""
_SECRET = re.compile(r"(://)[^/@\s]+@|(://[^?\s'\"]+)\?[^\s'\"]*")
"""User and password before an address's host, and its query, which may be a signature."""


def without_paths(value: Any) -> Any:
    """JSON with every absolute path in its texts cut down to its last part, and addresses to what
    is no secret in them."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    plain = _SECRET.sub(r"\1\2", value)
    if whole := _WHOLE.fullmatch(plain):
        return (whole[1] or "") + whole[2]
    return _PATH.sub(r"\1", _QUOTED.sub(lambda path: (path[2] or "") + path[3], plain))


def public_manifest(manifest: AnyManifest) -> AnyManifest:
    """The manifest as it may leave the machine, sealed."""
    content = without_paths(manifest.to_json())
    content["run"]["path_from_here"] = None
    content["seal"] = None
    public = type(manifest).model_validate(content)
    public.seal = seal(public.to_json())
    return public


def public_files(
    files: dict[str, Path],
    manifest: str,
    card: str,
    folder: Path,
    file_name: str,
    data_files: str,
) -> dict[str, Path]:
    """The files of a push (path in the repository → local file), manifest and card made public.

    Args:
        manifest, card: which of ``files`` they are.
        folder: where the public copies are written.
        file_name: the exported file or folder, as the card names it.
        data_files: the pattern of data files for the Hub's viewer.
    """
    content, _ = read_manifest(files[manifest])
    public = public_manifest(content)
    public.write(folder / Path(manifest).name)
    write_text(folder / "README.md", card_of(public, file_name, data_files))
    return {**files, manifest: folder / Path(manifest).name, card: folder / "README.md"}

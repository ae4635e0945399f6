"""What leaves the machine with a push: manifest and card without the paths of this machine.

An absolute path says a user's name and a folder layout, and means nothing elsewhere. In the pushed
manifest and card only its last part stays; the manifest is sealed again. ``verify`` of a pushed
copy is told where the run is (``--run``), and compares what is left of paths.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

from circuitseer_core.export.manifest import AnyManifest, read_manifest, seal
from circuitseer_core.export.pool_card import card_of
from circuitseer_core.files import write_text

_START = r"""(?:file:/{0,8}(?=/)|\\(?=\\)|~[\w.-]*|[A-Za-z]:)?[/\\]"""
"""How an absolute path begins: on a drive, a server, in somebody's home, or as an address."""
_PATH = re.compile(
    rf"""(?<![^\s='":,\[(@`])     # a path begins a text, or follows a space, =, @ or a quote
        {_START}
        (?:[^\s'"/\\]+[/\\])*    # its folders
        ([^\s'"/\\]+)            # what stays
    """,
    re.VERBOSE,
)
_QUOTED = re.compile(
    rf"""(?<=(['"]))              # within quotes folders may have spaces
        ([^'"=/\\]*[=@])?          # a name may stand before
        {_START}(?:[^'"/\\]+[/\\])*([^'"/\\]+)(?=\1)
    """,
    re.VERBOSE,
)
_END = r"(?:.*[/\\])?([^/\\]+)[/\\]*"
_WHOLE = re.compile(rf"((?:[\w.-]+=)?@?){_START}{_END}", re.DOTALL)
"""A text that is a path itself, with spaces or without."""
_WORD = re.compile(rf"((?:[^=/\\]*=)?@?){_START}{_END}", re.DOTALL)
"""An argument that is one; any name may stand before it."""
_CALL = "circuitseer_core."
"""A call of the library that stands for a command begins so."""
_USER = re.compile(r"(?<=://)[^/@\s]+@")
"""User and password before an address's host."""
_QUERY = re.compile(r"(://[^?\s'\"]+)(?:\?[^\s'\"]*)?")
"""An address and its query, which may be a signature. One without is matched too: no letter is
looked at twice."""


def without_paths(value: Any, key: str = "") -> Any:
    """JSON with every absolute path in its texts cut down to its last part, and addresses to what
    is no secret in them.

    Args:
        key: what ``value`` stands under: a ``command`` (or ``commands``) is cut word by word, and
            ``python`` text by text, since quotes may stand inside their paths.
    """
    if isinstance(value, dict):
        return {name: without_paths(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item, key) for item in value]
    if not isinstance(value, str):
        return value
    try:
        if key in ("command", "commands") and not value.startswith(_CALL):
            return shlex.join(_cut(word, _WORD) for word in shlex.split(value))
        if key == "python":
            return ast.unparse(_CutTexts().visit(ast.parse(value, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no command, or not spelled out
        pass
    return _cut(value)


class _CutTexts(ast.NodeTransformer):
    """Cuts every text of an expression."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        text = node.value
        return ast.Constant(_cut(text, _WORD)) if isinstance(text, str) else node


def _cut(text: str, whole_path: re.Pattern[str] = _WHOLE) -> str:
    """One text; ``whole_path``: what it is where it is nothing but a path."""
    plain = _QUERY.sub(r"\1", _USER.sub("", text))
    if whole := whole_path.fullmatch(plain):
        return whole[1] + whole[2]
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

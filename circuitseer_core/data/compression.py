"""Compressed text files (.gz, .zst) as streams of the bytes inside, never unpacked as a whole.

A file that expands without end (a decompression bomb) is told by the ratio of the bytes that came
out to those that went in so far, so it is refused within its first 64 MiB.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from circuitseer_core.errors import UserError, one_line

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CODECS = {".gz": "gzip", ".zst": "zstd"}
"""Endings of compressed files, and what Arrow calls the codec."""
MOST_EXPANSION = 200
"""Bytes out for a byte in. Text of training data expands 3 to 15 times, one row repeated without
end about 250 (gzip) to several thousand times (zstd)."""
FREE_BYTES = 64 << 20
"""Bytes out before the ratio is looked at."""
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}


def codec_of(path: Path) -> str | None:
    """The codec that a file's ending names; None for a plain file."""
    return CODECS.get(path.suffix.lower())


def bare(path: Path) -> Path:
    """The path without the ending of a codec: ``a.jsonl.gz`` → ``a.jsonl``."""
    return path.with_suffix("") if codec_of(path) else path


def compressed_as(head: bytes) -> str | None:
    """The ending that a file with these first bytes should have; None where it is plain."""
    return next((ending for magic, ending in _MAGIC.items() if head.startswith(magic)), None)


def open_bytes(path: Path, shown: str) -> BinaryIO:
    """The bytes of a file, or inside a compressed one, as a buffered stream.

    ``shown``: what messages call it. Reading raises UserError where a compressed file is damaged,
    cut, or expands too far.
    """
    codec = codec_of(path)
    if codec is None:
        return path.open("rb")
    return cast(BinaryIO, io.BufferedReader(_Expanding(path, shown, codec), 1 << 18))


class _Expanding(io.RawIOBase):
    def __init__(self, path: Path, shown: str, codec: str) -> None:
        super().__init__()
        import pyarrow

        self._shown, self._codec = shown, codec
        self._packed: Any = pyarrow.OSFile(str(path))
        self._stream: Any = pyarrow.CompressedInputStream(self._packed, codec)
        self._expanded = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """The next bytes, as many as there is room for; 0 at the end."""
        room = memoryview(buffer).cast("B")
        try:
            data: bytes = self._stream.read(len(room))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self._shown} is no whole {self._codec} file: {one_line(error)}"
            ) from error
        room[: len(data)] = data
        self._expanded += len(data)
        if self._expanded > max(FREE_BYTES, MOST_EXPANSION * self._packed.tell()):
            raise UserError(
                f"{self._shown} expands to more than {MOST_EXPANSION} times its size: refused "
                "(unpack it where that is meant)"
            )
        return len(data)

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()

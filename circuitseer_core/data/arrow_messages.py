"""What the compressed batches of an Arrow IPC file say they expand to, before anything expands.

Arrow allocates what a compressed buffer claims as its size. The claim stands in the buffer's first
eight bytes, and where the buffers are stands in the batch's message, a flatbuffer.
Source: https://arrow.apache.org/docs/format/Columnar.html, Message.fbs and Schema.fbs there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError, one_line

MOST_EXPANSION = 1_000
"""Bytes out for a byte in, of one batch; LZ4 reaches 255, Zstandard far more."""
FREE_BYTES = 1 << 30
"""Bytes of a batch that are never too many."""
_HEADER, _BUFFERS, _COMPRESSION = 2, 2, 3
"""Numbers of the fields in Message (header) and in RecordBatch (buffers, compression)."""


def refuse_expanding(path: Path, shown: str, start: int) -> None:
    """Raise UserError where a batch would expand too far, or where a message is damaged.

    ``start``: where the messages begin in the file. ``shown``: what messages call the file.
    """
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as file:
            file.seek(start)
            for message in pyarrow.ipc.MessageReader.open_stream(file):
                if message.type not in ("record batch", "dictionary"):
                    continue
                size = expanded_size(message.metadata, message.body, message.type)
                if size > max(FREE_BYTES, MOST_EXPANSION * len(message.body)):
                    raise UserError(
                        f"{shown} expands to {size / 2**30:.1f} GiB a batch, more than "
                        f"{MOST_EXPANSION:,} times its size: refused"
                    )
    except (pyarrow.ArrowException, OSError, MemoryError, struct.error, ValueError) as error:
        raise UserError(f"{shown} is not a readable Arrow file: {one_line(error)}") from error


def expanded_size(metadata: Any, body: Any, kind: str) -> int:
    """Bytes that the buffers of one message claim; 0 where they are not compressed.

    Raises struct.error where the message is damaged.
    """
    raw = memoryview(metadata)
    batch = _table(raw, struct.unpack_from("<I", raw, 0)[0], _HEADER)
    if batch and kind == "dictionary":
        batch = _table(raw, batch, 1)  # DictionaryBatch: id, data
    if batch is None or _field(raw, batch, _COMPRESSION) is None:
        return 0
    at = _table(raw, batch, _BUFFERS)
    if at is None:
        return 0
    claimed = 0
    content = memoryview(body)
    for number in range(struct.unpack_from("<I", raw, at)[0]):
        offset, length = struct.unpack_from("<qq", raw, at + 4 + 16 * number)
        if length >= 8:
            claimed += max(0, struct.unpack_from("<q", content, offset)[0])
    return claimed


def _field(raw: memoryview, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer table stands; None where it is left out."""
    vtable = table - struct.unpack_from("<i", raw, table)[0]
    size = struct.unpack_from("<H", raw, vtable)[0]
    place = 4 + 2 * number
    if place >= size:
        return None
    offset = struct.unpack_from("<H", raw, vtable + place)[0]
    return table + offset if offset else None


def _table(raw: memoryview, table: int, number: int) -> int | None:
    """Where the table or vector that a field points to begins."""
    at = _field(raw, table, number)
    return None if at is None else at + int(struct.unpack_from("<I", raw, at)[0])

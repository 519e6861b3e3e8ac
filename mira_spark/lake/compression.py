"""What a file holds once it is decompressed, by its content: names lie."""

import bz2
import gzip
import io
import lzma
import zlib
from typing import BinaryIO, cast

import pyarrow as pa

DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What reading a compressed file raises when it is cut short or not what it begins as."""
_GZIP, _XZ, _ZSTANDARD = b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_BZIP2, _BZIP2_BLOCKS = b"BZh", (b"1AY&SY", b"\x17rE8P\x90")  # the second ends a file of nothing
_MOST_LAYERS = 4
_BUFFER = 1 << 20


def decompressed(file: BinaryIO) -> io.BufferedReader:
    """The bytes of `file`, without the gzip, bzip2, xz or Zstandard around them; streamed."""
    reader = _buffered(file)
    for _ in range(_MOST_LAYERS):
        inner = _layer(reader)
        if inner is None:
            break
        reader = _buffered(inner)
    return reader


def _buffered(stream: object) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER)


def _layer(reader: io.BufferedReader) -> object | None:
    """The stream inside of one layer of compression; None where there is none."""
    head = reader.peek(10)[:10]
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=reader, mode="rb")
    if head.startswith(_BZIP2) and head[4:] in _BZIP2_BLOCKS:
        return bz2.BZ2File(reader)
    if head.startswith(_XZ):
        return lzma.LZMAFile(reader)
    if head.startswith(_ZSTANDARD):
        stored: object = pa.CompressedInputStream(pa.PythonFile(reader, mode="r"), "zstd")
        return stored
    return None

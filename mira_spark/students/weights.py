"""The weights of an artefact as one safetensors file, whose header is known before it is read.

It must be exactly the one this module writes, so nothing in it is trusted.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mira_spark.errors import ArtefactError

Bytes = bytes | memoryview
Dtype = Literal["F32", "F16"]
FloatArrays = npt.NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]

_LINE = 64  # bytes of a cache line: weights start on one
DTYPES: dict[Dtype, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def write(path: Path, tensors: Mapping[str, FloatArrays], shapes: Shapes, dtype: Dtype) -> None:
    """Write the tensors that `shapes` names, in its order."""
    with path.open("wb") as file:
        file.write(_header(shapes, dtype))
        for name in shapes:
            file.write(np.ascontiguousarray(tensors[name], DTYPES[dtype]).data)


def read(path: Path, content: Bytes, shapes: Shapes, dtype: Dtype) -> dict[str, FloatArrays]:
    """The file's tensors by name, float32; those stored as float32 are views of its content.

    ArtefactError, which names the path, unless it is what `write` makes of these shapes.
    """
    header, stored = _header(shapes, dtype), DTYPES[dtype]
    size = len(header) + stored.itemsize * sum(int(np.prod(shape)) for shape in shapes.values())
    if content[: len(header)] != header:
        start = bytes(content[: min(len(header), 1_000)]).rstrip()
        raise ArtefactError(f"{path}: header is {start!r}, expected {header[:1_000].rstrip()!r}")
    if len(content) != size:
        raise ArtefactError(f"{path}: has {len(content)} bytes, expected {size}")
    tensors, offset = {}, len(header)
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        array = np.frombuffer(content, stored, count, offset).reshape(shape)
        tensors[name] = array.astype(np.float32, copy=False)
        offset += stored.itemsize * count
    return tensors


def _header(shapes: Shapes, dtype: Dtype) -> bytes:
    """The one header of these tensors; the first starts on a cache line."""
    tensors: dict[str, Any] = {}
    end, width = 0, DTYPES[dtype].itemsize
    for name, shape in shapes.items():
        begin, end = end, end + width * int(np.prod(shape))
        tensors[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text = text.ljust(-(-(8 + len(text)) // _LINE) * _LINE - 8)
    return len(text).to_bytes(8, "little") + text

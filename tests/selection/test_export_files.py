"""Documents as the bytes of a file, compressed or not, and read again by other programs."""

import gzip
import io
import json
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.errors import ConfigError
from mira_spark.selection.export_files import (
    COMPRESSIONS,
    Compression,
    Format,
    check_compression,
    documents_in,
    encoded,
    file_name,
)

SCHEMA = pa.schema(
    [("doc_id", pa.string()), ("text", pa.string()), ("n_tokens", pa.int64()),
     ("license", pa.string()), ("metadata", pa.map_(pa.string(), pa.string())),
     ("messages", pa.string())]
)  # fmt: skip
ZSTD = b"\x28\xb5\x2f\xfd"
"""How such a file begins, by RFC 8878."""
MESSAGES = [{"role": "user", "content": "é\n"}]
ALL = [(format_, one) for format_, known in COMPRESSIONS.items() for one in known]
texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.fixed_dictionaries(
    {"doc_id": texts, "text": texts, "n_tokens": st.integers(0, 2**40),
     "license": st.none() | texts, "metadata": st.dictionaries(texts, texts, max_size=3),
     "messages": st.none() | st.just(json.dumps(MESSAGES))}
)  # fmt: skip


def table_of(documents: list[dict[str, Any]]) -> pa.Table:
    whole = [row | {"metadata": list(row["metadata"].items())} for row in documents]
    return pa.Table.from_pylist(whole, SCHEMA)


def read(content: bytes, format_: Format, compression: Compression) -> list[dict[str, Any]]:
    """By programs that know nothing of ours."""
    if format_ == "parquet":
        found = pq.read_table(io.BytesIO(content)).to_pylist()
        return [row | {"metadata": dict(row["metadata"])} for row in found]
    if compression == "gzip":
        content = gzip.decompress(content)
    elif compression == "zstd":
        assert content.startswith(ZSTD)
        content = pa.input_stream(io.BytesIO(content), compression="zstd").read()
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("format_", "compression"), ALL)
@settings(deadline=None)
@given(documents=st.lists(rows, max_size=5))
def test_other_programs_read_what_was_written(
    format_: Format, compression: Compression, documents: list[dict[str, Any]]
) -> None:
    content = encoded(table_of(documents), format_, compression)
    assert content == encoded(table_of(documents), format_, compression)
    assert documents_in(content, format_, compression) == len(documents)
    wanted = documents
    if format_ == "jsonl":
        wanted = [
            {k: v for k, v in row.items() if k != "messages"}
            | ({} if row["messages"] is None else {"messages": MESSAGES})
            for row in documents
        ]
    assert read(content, format_, compression) == wanted


@pytest.mark.parametrize(("format_", "compression"), [one for one in ALL if one[1] != "none"])
def test_a_compressed_file_is_smaller_and_a_part_of_it_is_none(
    format_: Format, compression: Compression
) -> None:
    row = {"doc_id": "a", "text": "again and " * 20_000, "n_tokens": 1, "license": None,
           "metadata": {}, "messages": None}  # fmt: skip
    content = encoded(table_of([row] * 3), format_, compression)
    assert len(content) < len(encoded(table_of([row] * 3), "jsonl", "none")) / 10
    assert documents_in(content[: len(content) // 2], format_, compression) is None
    assert documents_in(b"", "parquet", compression) is None


def test_the_compression_of_parquet_is_of_its_columns() -> None:
    for compression, named in (("zstd", "ZSTD"), ("none", "UNCOMPRESSED"), ("gzip", "GZIP")):
        row = {"doc_id": "a", "text": "", "n_tokens": 1, "license": None, "metadata": {},
               "messages": None}  # fmt: skip
        content = encoded(table_of([row]), "parquet", compression)  # type: ignore[arg-type]
        column = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0)
        assert column.compression == named


def test_files_are_called_by_their_format_and_compression() -> None:
    assert {file_name(7, *one) for one in ALL} == {
        "000007.parquet", "000007.jsonl", "000007.jsonl.gz", "000007.jsonl.zst",
    }  # fmt: skip


def test_the_default_is_zstd_in_parquet_and_none_in_lines() -> None:
    assert check_compression("parquet", None) == "zstd"
    assert check_compression("jsonl", None) == "none"
    for format_, compression in ALL:
        assert check_compression(format_, compression) == compression
    assert {one for known in COMPRESSIONS.values() for one in known} == {*get_args(Compression)}


def test_a_compression_that_the_format_has_not_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        check_compression("jsonl", "snappy")
    assert str(refused.value) == (
        "--compression snappy is not for jsonl, should be one of none, gzip, zstd"
    )

"""Small inputs that people really have: their files, how to read them, and what comes in."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Documents = Mapping[str, str | tuple[str, str]]
"""doc_id to text, or to (source, text); the source is web where none is said."""


@dataclass(frozen=True)
class Case:
    """`rejected` are (reason, line), `left_out` names to reasons, `refused` the whole message with
    `PATH` for the folder of the input."""

    files: Mapping[str, bytes]
    format: str = "json"
    documents: Documents = field(default_factory=dict)
    rejected: Sequence[tuple[str, int | None]] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None
    filtered: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    path: str = ""


def row(name: object, text: object = None, **others: object) -> dict[str, object]:
    """A record with `id`, `source` and `text`; `text n` for an integer id."""
    return {"id": name, "source": "web", "text": text or f"text {name}"} | others


def lines(*rows: object) -> bytes:
    """JSON lines; text is taken as it is."""
    return "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows).encode()


def parquet(
    records: Sequence[Mapping[str, object]], rows: int | None = None, **types: pa.DataType
) -> bytes:
    """A file of Parquet of the first `rows` records, with the types of some columns."""
    columns = {n: pa.array([r[n] for r in records], types.get(n)) for n in records[0]}
    table = pa.table(columns)
    file = io.BytesIO()
    pq.write_table(table.slice(0, rows), file)
    return file.getvalue()


def csv(*rows: str) -> bytes:
    """Lines of CSV."""
    return "".join(f"{r}\n" for r in rows).encode()


def mapping(**columns: str | None) -> dict[str, Any]:
    """Settings with a mapping."""
    return {"columns": {"doc_id": "id"} | columns}


ONE = lines(row("a"), row("b"))
A_AND_B = {"a": "text a", "b": "text b"}
TYPED = [
    row("a", price=Decimal("1.10"), at=datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
        day=date(2024, 2, 29), ok=True, f=1.5, bin=b"\xff\x00", ls=[{"a": 1}],
        st={"x": "y", "z": {"w": 1}}),
]  # fmt: skip
HEADER = "id,source,text"
NESTED = (
    "corpus.inputs.{name}.columns.{ours}: {column} holds lists or objects, no text: name a path "
    "into it, as {column}.content, or another column"
)


def nested(ours: str, column: str) -> str:
    """The refusal of a column of lists or objects; `NAME` is the input's."""
    instead = "; or, of conversations, name it as messages" if ours == "text" else ""
    return NESTED.format(name="NAME", ours=ours, column=column) + instead


FLOATS = [1.2e7, 5e15, None, 0.5, 2.0**53]
JSON_CASES = {
    "bad_lines": Case(
        {"a.jsonl": lines(row("a"), '{"id":"b","text":"cut in', row("c"), '["not","one"]', '"text"',
                          "42", "null", '{"id":"d","source":"web","text":NaN}', "{}x")},
        documents={"a": "text a", "c": "text c"},
        rejected=[("unreadable", 2), ("unreadable", 4), ("unreadable", 5), ("unreadable", 6),
                  ("unreadable", 7), ("empty", None), ("no_source", None), ("unreadable", 9)]),
    "bad_lines_const": Case(
        {"a.jsonl": lines(row("a"), "no json", "nor this")},
        documents={"a": ("here", "text a")},
        rejected=[("unreadable", 2), ("unreadable", 3)],
        settings=mapping(source=None) | {"source": "here"}),
    "big_id": Case(
        {"a.jsonl": lines(*(row(i, "t") for i in (13835058055282163712, 13835058055282163713, 7)))},
        documents={"13835058055282163712": "t", "13835058055282163713": "t", "7": "t"}),
    "big_id_float": Case(
        {"a.jsonl": lines(row(9007199254740992), row(9007199254740993), row(1.5))},
        documents={i: f"text {i}" for i in ("9007199254740992", "9007199254740993", "1.5")}),
    "float_as_written": Case(
        {"a.jsonl": lines('{"id": 1.50, "source": "web", "text": "x", "n": 1e3, "m": -0.0}')},
        documents={"1.50": "x"}, metadata={"1.50": {"n": "1e3", "m": "-0.0"}}),
    "case_same": Case(
        {"a.jsonl": lines(row("a", Lang="en", lang="de"))},
        documents={"a": "text a"}, metadata={"a": {"Lang": "en", "lang": "de"}}),
    "case_of_mapping": Case(
        {"a.jsonl": lines({"ID": "a", "Source": "web", "TEXT": "x"})}, documents={"a": "x"}),
    "case_decides": Case(
        {"a.jsonl": lines({"id": "a", "Id": "b", "source": "web", "text": "x"})},
        documents={"a": "x"}, metadata={"a": {"Id": "b"}}),
    "concatenated": Case(
        {"a.jsonl": lines(row("a"), json.dumps(row("b")) + json.dumps(row("c")), row("d"))},
        documents={"a": "text a", "b": "text b", "d": "text d"}, rejected=[("unreadable", 2)]),
    "empty_only": Case(
        {"a.jsonl": b""},
        refused="corpus.inputs.NAME.path: PATH holds no file of json: a.jsonl (empty) left out"),
    "blank_lines": Case({"a.jsonl": b"\n" + ONE + b"\n  \n"}, documents=A_AND_B),
    "cr_lines": Case({"a.jsonl": ONE.replace(b"\n", b"\r")}, documents=A_AND_B),
    "crlf_lines": Case({"a.jsonl": ONE.replace(b"\n", b"\r\n")}, documents=A_AND_B),
    "no_end_of_line": Case({"a.jsonl": ONE[:-1]}, documents=A_AND_B),
    "gz_cut": Case(
        {"a.jsonl.gz": gzip.compress(ONE)[:-6], "b.jsonl": ONE},
        refused="corpus.inputs.NAME.path: PATH/a.jsonl.gz is damaged or cut short: Compressed file "
        "ended before the end-of-stream marker was reached"),
    "gz_ok": Case({"a.jsonl.gz": gzip.compress(ONE)}, documents=A_AND_B),
    "gz_members": Case(
        {"a.gz": gzip.compress(lines(row("a"))) + gzip.compress(lines(row("b")))},
        documents=A_AND_B),
    "gz_named_plain": Case({"a.jsonl": gzip.compress(ONE)}, documents=A_AND_B),
    "plain_named_gz": Case({"a.jsonl.gz": ONE}, documents=A_AND_B),
    "gz_in_gz": Case({"a.jsonl.gz": gzip.compress(gzip.compress(ONE))}, documents=A_AND_B),
    "bz2": Case({"a.jsonl.bz2": bz2.compress(ONE)}, documents=A_AND_B),
    "xz": Case({"a.jsonl": lines(row("a")), "b.jsonl.xz": lzma.compress(lines(row("b")))},
               documents=A_AND_B),
    "zst": Case({"a.jsonl.zst": pa.compress(ONE, "zstd", asbytes=True)}, documents=A_AND_B),
    "zst_mixed": Case(
        {"a.jsonl": lines(row("a")),
         "b.jsonl.zst": pa.compress(lines(row("b")), "zstd", asbytes=True)},
        documents=A_AND_B),
    "zst_named_json": Case({"a.json": pa.compress(ONE, "zstd", asbytes=True)}, documents=A_AND_B),
    "zst_cut": Case(
        {"a.zst": pa.compress(ONE * 99, "zstd", asbytes=True)[:-4]},
        refused="corpus.inputs.NAME.path: PATH/a.zst is damaged or cut short: Truncated compressed "
        "stream"),
    "parquet_named_json": Case(
        {"a.jsonl": parquet([row("a")]), "b.jsonl": ONE},
        refused="corpus.inputs.NAME.path: PATH/a.jsonl holds Parquet, not json"),
    "json_array": Case(
        {"a.json": json.dumps([row("a"), row("b")], indent=1).encode()}, documents=A_AND_B),
    "json_array_line": Case(
        {"a.json": json.dumps([row("a"), row("b")]).encode()}, documents=A_AND_B),
    "json_array_lines": Case(
        {"a.json": b"[" + ONE.strip().replace(b"\n", b",\n") + b"]"}, documents=A_AND_B),
    "json_array_cut": Case(
        {"a.json": json.dumps([row("a"), row("b")], indent=1).encode()[:-30]},
        documents={"a": "text a"}, rejected=[("unreadable", 7)]),
    "json_array_and_lines": Case(
        {"a.json": json.dumps([row("a")]).encode(), "b.jsonl": lines(row("b"))}, documents=A_AND_B),
    "json_pretty": Case(
        {"a.json": "\n".join(json.dumps(row(i), indent=2) for i in "ab").encode()},
        documents=A_AND_B),
    "json_same_key": Case(
        {"a.jsonl": b'{"id":"a","source":"web","text":"first","text":"second"}'},
        documents={"a": "second"}),
    "json_utf16": Case({"a.jsonl": ONE.decode().encode("utf-16")}, documents=A_AND_B),
    "json_utf8_bom": Case({"a.jsonl": b"\xef\xbb\xbf" + ONE}, documents=A_AND_B),
    "json_bom_inside": Case(
        {"a.jsonl": lines(row("a")) + b"\xef\xbb\xbf" + lines(row("b"))}, documents=A_AND_B),
    "json_latin": Case(
        {"a.jsonl": '{"id":"a","source":"web","text":"Bäume"}'.encode("latin-1")},
        documents={"a": "Bäume"}, settings=mapping() | {"encoding": "latin-1"}),
    "mixed_id": Case(
        {"a.jsonl": lines(row(0), row(1)), "b.jsonl": lines(row("000"), row("1.0"), row(True))},
        documents={"0": "text 0", "1": "text 1", "000": "text 000", "1.0": "text 1.0",
                   "true": "text True"}),
    "mixed_types": Case(
        {"a.jsonl": lines(row("a", metadata={"lang": "en"}, tags=[], x=None)),
         "b.jsonl": lines(row("b", metadata='{"lang": "de"}', tags=[{"k": 1}], x="s"),
                          row("c", {"body": "t"}), row("d", ["t"]), row("e", 12),
                          {"id": "f", "source": "web", "text": None})},
        documents={"a": "text a", "b": "text b", "e": "12"},
        rejected=[("not_text", 2), ("not_text", 3), ("empty", None)],
        metadata={"a": {"metadata": '{"lang":"en"}', "tags": "[]", "x": None},
                  "b": {"metadata": '{"lang": "de"}', "tags": '[{"k":1}]', "x": "s"}}),
    "messages": Case(
        {"a.jsonl": lines(row("a", messages=[{"role": "user", "content": "hi"}]))},
        refused=nested("text", "messages"), settings=mapping(text="messages")),
    "nested_mapped": Case(
        {"a.jsonl": lines({"id": "a", "text": "t", "metadata": {"source": "deep", "n": 1}})},
        documents={"a": ("deep", "t")}, settings=mapping(source="metadata.source"),
        metadata={"a": {"metadata": '{"source":"deep","n":1}'}}),
    "dot_before_path": Case(
        {"a.jsonl": lines({"id": "a", "text": "t", "m.source": "flat", "m": {"source": "deep"}})},
        documents={"a": ("flat", "t")}, settings=mapping(source="m.source")),
    "path_of_dots": Case(
        {"a.jsonl": lines({"id": "a", "text": "t", "m.x": {"y.z": {"s": "deep"}}})},
        documents={"a": ("deep", "t")}, settings=mapping(source="m.x.y.z.s")),
    "struct_id": Case(
        {"a.jsonl": lines({"_id": {"$oid": "65f0"}, "source": "web", "text": "t"})},
        refused=nested("doc_id", "_id"), settings=mapping(doc_id="_id")),
    "struct_id_path": Case(
        {"a.jsonl": lines({"_id": {"$oid": "65f0"}, "source": "web", "text": "t"})},
        documents={"65f0": "t"}, settings=mapping(doc_id="_id.$oid")),
    "struct_source": Case(
        {"a.jsonl": lines({"id": "a", "source": {"name": "web"}, "text": "t"})},
        refused=nested("source", "source")),
    "missing_columns": Case(
        {"a.jsonl": ONE}, settings=mapping(text="body", license="law"),
        refused="corpus.inputs.NAME.columns.text: the input has no column body; it has: id, "
        "source, text\ncorpus.inputs.NAME.columns.license: the input has no column law; it has: "
        "id, source, text"),
    "nested_folders": Case(
        {"top.jsonl": lines(row("a")), "x/a.jsonl": lines(row("b")),
         "x/deep/b.jsonl": lines(row("c"))},
        documents=A_AND_B | {"c": "text c"}),
    "nested_only": Case(
        {"x/a.jsonl": lines(row("a")), "y/b.jsonl": lines(row("b"))}, documents=A_AND_B),
    "odd_chars": Case(
        {"a.jsonl": b"\xef\xbb\xbf" + lines(row("bom")) + b"\r\n"
         + '{"id":"ls","source":"web","text":"one\u2028two\u0085x"}\r\n'.encode()
         + rb'{"id":"nul","source":"web","text":"a\u0000b"}' + b"\n"
         + rb'{"id":"lone","source":"web","text":"half \ud83d of"}' + b"\n"
         + rb'{"id":"lone\ud83d","source":"web","text":"t"}' + b"\n"
         + rb'{"id":"so","source":"we\udc80b","text":"t"}' + b"\n"
         + b'{"id":"bad","source":"web","text":"bad \xff\xfe bytes"}\n'
         + b'{"id":"key","source":"web","text":"t","k\xff":"v\xff"}\n'},
        documents={"bom": "text bom", "ls": "one\u2028two\u0085x", "nul": "a\0b",
                   "lone": "half \ufffd\ufffd\ufffd of", "bad": "bad \ufffd\ufffd bytes",
                   "key": "t"},
        rejected=[("not_text", 6), ("not_text", 7)],
        metadata={"key": {"k?": "v\ufffd"}}),
    "partition_date": Case(
        {"crawl=2024-01-02/x.jsonl": lines({"id": "a", "text": "t"}),
         "crawl=2024-01-03/x.jsonl": lines({"id": "b", "text": "t"})},
        documents={"a": ("2024-01-02", "t"), "b": ("2024-01-03", "t")},
        settings=mapping(source="crawl")),
    "partition_json": Case(
        {"source=007/lang=d%2Fe/x.jsonl": lines({"id": "a", "text": "t"}),
         "source=7/lang=__HIVE_DEFAULT_PARTITION__/x.jsonl": lines({"id": "b", "text": "t"})},
        documents={"a": ("007", "t"), "b": ("7", "t")},
        metadata={"a": {"lang": "d/e"}, "b": {"lang": None}}),
    "path_file": Case(
        {"my data/a b#1.jsonl": ONE, "my data/other.jsonl": lines(row("c"))}, documents=A_AND_B,
        path="my data/a b#1.jsonl"),
    "brackets": Case({"data [v1] 100% #2/a.jsonl": ONE}, documents=A_AND_B,
                     path="data [v1] 100% #2"),
    "glob": Case(
        {"a-1.jsonl": lines(row("a")), "b-1.jsonl": lines(row("b")), "c-1.jsonl": lines(row("c")),
         "d.jsonl": ONE}, documents=A_AND_B, path="{a,b}-[0-9].json*"),
    "glob_of_nothing": Case(
        {"a.jsonl": ONE}, path="*.parquet",
        refused="corpus.inputs.NAME.path: PATH cannot be read: there is no such file or folder"),
    "stray_json": Case(
        {"a.jsonl": ONE, "b.jsonl": b"", "README.md": b"# Lakes\n", "_SUCCESS": b"",
         "LICENSE": b"x",
         ".a.jsonl.crc": b"crc", "data.zip": b"PK", "t.csv": b"a,b\n"},
        documents=A_AND_B,
        left_out={"b.jsonl": "empty", "README.md": "no json by its name", "_SUCCESS": "hidden",
                  "LICENSE": "no json by its name", ".a.jsonl.crc": "hidden",
                  "data.zip": "no json by its name", "t.csv": "no json by its name"}),
    "other_names": Case(
        {"part-00000": lines(row("a")), "b.txt": lines(row("b")), "c.2024-01-01": lines(row("c"))},
        documents=A_AND_B | {"c": "text c"}),
    "named_by_the_user": Case({"data.md": ONE}, documents=A_AND_B, path="*.md"),
    "underscore": Case(
        {"a.jsonl": ONE, "_b.jsonl": lines(row("c")), "_more/c.jsonl": lines(row("d"))},
        documents=A_AND_B, left_out={"_b.jsonl": "hidden", "_more": "hidden"}),
    "sendable": Case(
        {"a.jsonl": lines(*(row(str(i), ok=ok) for i, ok in enumerate(
            ["true", "yes", "no", "public", 1, 0, None, " TRUE ", 1.0, [True]])))},
        documents={str(i): f"text {i}" for i in range(10)}, settings=mapping(sendable="ok")),
    "filter_numbers": Case(
        {"a.jsonl": lines(row("a", stars=9, m={"n": 1}), row("b", stars=10), "no json",
                          row("c", stars=100.5, m={"n": 2}), row("d"))},
        documents={"b": "text b", "c": "text c"}, rejected=[("unreadable", 3)], filtered=2,
        settings=mapping() | {"filter": "stars >= 10"}),
    "filter_struct": Case(
        {"a.jsonl": lines(row("a", m={"lang": "en"}), row("b", m={"lang": "de", "x": [1]}))},
        documents={"b": "text b"}, filtered=1,
        settings=mapping() | {"filter": "m.lang = 'de' AND id <> 'c'"}),
    "filter_wrong": Case(
        {"a.jsonl": ONE}, settings=mapping() | {"filter": "nothing > 1"},
        refused="corpus.inputs.NAME.filter: nothing > 1: [UNRESOLVED_COLUMN.WITH_SUGGESTION]"),
    "filter_no_sql": Case(
        {"a.jsonl": ONE}, settings=mapping() | {"filter": "id = ="},
        refused="corpus.inputs.NAME.filter: id = =: "),
    "deep": Case(
        {"a.jsonl": lines(row("a"), '{"id":"b","x":' + "[" * 99_999)},
        documents={"a": "text a"}, rejected=[("unreadable", 2)]),
}  # fmt: skip
TEXT_CASES = {
    "text_lines": Case(
        {"a.txt": b"one\n\ntwo\r\n", "b.txt.gz": gzip.compress(b"three"), "README.md": b"four\n"},
        "text", documents={"one": "one", "two": "two", "three": "three", "four": "four"},
        settings=mapping(doc_id="text", source=None) | {"source": "web"}),
    "text_like_magic": Case(
        {"a.txt": b"BZh is text\nORC is text\n", "b.txt": b"ORC too"}, "text",
        documents={t: t for t in ("BZh is text", "ORC is text", "ORC too")},
        settings=mapping(doc_id="text", source=None) | {"source": "web"}),
    "text_files": Case(
        {"a.txt": b"one\n\ntwo\r\n", "lang=x/b.txt": b"three"}, "text",
        documents={"one\n\ntwo\r\n": "one\n\ntwo\r\n", "three": "three"},
        settings=mapping(doc_id="text", source=None) | {"source": "web", "lines": False}),
    "text_binary": Case(
        {"a.txt": b"a\0b\0\0\0"}, "text",
        settings=mapping(doc_id=None, source=None) | {"source": "web"},
        refused="corpus.inputs.NAME.path: PATH/a.txt holds bytes that are no text, or text in "
        "another encoding"),
}  # fmt: skip
CSV_CASES = {
    "csv_files_differ": Case(
        {"a.csv": csv(HEADER, "a,web,one", "b,web,two"),
         "b.csv": csv("source,id,text,lang", "books,c,three,en")},
        "csv", documents={"a": "one", "b": "two", "c": ("books", "three")},
        metadata={"a": {}, "c": {"lang": "en"}}),
    "csv_latin": Case(
        {"a.csv": csv(HEADER, "a,café,Bäume", "b,web,Bäume").decode().encode("latin-1")}, "csv",
        documents={"b": "B\ufffdume"}, rejected=[("not_text", 2)]),
    "csv_latin_set": Case(
        {"a.csv": csv(HEADER, "a,café,Bäume").decode().encode("latin-1")}, "csv",
        documents={"a": ("café", "Bäume")}, settings=mapping() | {"encoding": "latin-1"}),
    "csv_tab": Case(
        {"a.tsv": csv("id\tsource\ttext", "a\tweb\tA lake, and a hill")}, "csv",
        documents={"a": "A lake, and a hill"}, settings=mapping() | {"csv": {"sep": "\t"}}),
    "csv_tab_unset": Case(
        {"a.tsv": csv("id\tsource", "a\tweb")}, "csv",
        refused="corpus.inputs.NAME.columns.doc_id: the input has no column id; it has: "
        "id\tsource\n"
        "corpus.inputs.NAME.columns.source: the input has no column source; it has: id\tsource\n"
        "corpus.inputs.NAME.columns.text: the input has no column text; it has: id\tsource"),
    "csv_sep": Case(
        {"a.csv": csv("id||source||text", 'a||web||x|y', 'b||web||"p||q"')}, "csv",
        documents={"a": "x|y", "b": "p||q"}, settings=mapping() | {"csv": {"sep": "||"}}),
    "csv_lines_in_quotes": Case(
        {"a.csv": b'id,source,text\r\na,web,"one\r\ntwo, ""q"""\r\n\r\nb,web,x\r\n'}, "csv",
        documents={"a": 'one\r\ntwo, "q"', "b": "x"}),
    "csv_of_spark": Case(
        {"a.csv": csv(HEADER, r'a,web,"he said \"hi\", C:\new"', "b,web,C:\\old")}, "csv",
        documents={"a": 'he said "hi", C:\\new', "b": "C:\\old"},
        settings=mapping() | {"csv": {"escape": "\\"}}),
    "csv_of_spark_unset": Case(
        {"a.csv": csv(HEADER, r'a,web,"he said \"hi\""', "b,web,x")}, "csv",
        documents={"b": "x"}, rejected=[("unreadable", 2)]),
    "csv_single_quotes": Case(
        {"a.csv": csv(HEADER, "a,web,'x, ''y'''")}, "csv", documents={"a": "x, 'y'"},
        settings=mapping() | {"csv": {"quote": "'", "escape": "'"}}),
    "csv_width": Case(
        {"a.csv": csv(HEADER, "a,web,x", "b,web", "c,web,x,y", "d,web,")}, "csv",
        documents={"a": "x"}, rejected=[("unreadable", 3), ("unreadable", 4), ("empty", None)]),
    "csv_open_quote": Case(
        {"a.csv": csv(HEADER, "a,web,x", 'b,web,"y', "c,web,z")}, "csv", documents={"a": "x"},
        rejected=[("unreadable", 3)]),
    "csv_bom": Case({"a.csv": b"\xef\xbb\xbf" + csv(HEADER, "a,web,x")}, "csv",
                    documents={"a": "x"}),
    "csv_utf16": Case({"a.csv": csv(HEADER, "a,web,x").decode().encode("utf-16")}, "csv",
                      documents={"a": "x"}),
    "csv_gz": Case({"a.csv": gzip.compress(csv(HEADER, "a,web,x"))}, "csv", documents={"a": "x"}),
    "csv_header_only": Case({"a.csv": csv(HEADER), "b.csv": csv(HEADER, "a,web,x")}, "csv",
                            documents={"a": "x"}),
    "dup_header": Case(
        {"a.csv": csv("id,text,source,text", "a,x,web,y")}, "csv",
        refused="corpus.inputs.NAME.path: PATH/a.csv names the column text twice in its first "
        "line"),
    "dot_extra": Case(
        {"a.csv": csv(f"{HEADER},meta.lang,repo name", "a,web,x,en,r 0")}, "csv",
        documents={"a": "x"}, metadata={"a": {"meta.lang": "en", "repo name": "r 0"}}),
    "csv_filter": Case(
        {"a.csv": csv(f"{HEADER},stars", "a,web,x,9", "b,web,y,10", "c,web,z,")}, "csv",
        documents={"b": "y"}, filtered=2, settings=mapping() | {"filter": "stars >= 10"}),
    "csv_ids": Case({"a.csv": csv(HEADER, "007,web,x", "7,web,y", "1e3,web,z")}, "csv",
                    documents={"007": "x", "7": "y", "1e3": "z"}),
}  # fmt: skip
NS = {"at": pa.timestamp("ns")}
PARQUET_CASES = {
    "binary_beside": Case(
        {"a.parquet": parquet([
            {"id": b"a", "source": b"web", "text": b"x", "digest": b"\x00\xff", "repo": b"r\xff"},
            {"id": b"b\xff", "source": b"web", "text": b"x", "digest": b"", "repo": None},
            {"id": b"c", "source": b"w\xff", "text": b"x", "digest": None, "repo": None},
            {"id": b"d", "source": b"web", "text": b"x\xff", "digest": None, "repo": None}])},
        "parquet", documents={"a": "x", "d": "x\ufffd"},
        rejected=[("not_text", None), ("not_text", None)], settings=mapping(domain="repo"),
        metadata={"a": {"digest": "00ff"}, "d": {"digest": None}}),
    "case_files_pq": Case(
        {"a.parquet": parquet([row("a")]),
         "b.parquet": parquet([{"ID": "b", "Source": "web", "Text": "text b"}])},
        "parquet", documents=A_AND_B),
    "case_mapping": Case(
        {"a.parquet": parquet([{"ID": "a", "Source": "web", "Text": "x"}])}, "parquet",
        documents={"a": "x"}),
    "case_same_pq": Case(
        {"a.parquet": parquet([row("a", Lang="en", lang="de")])}, "parquet",
        documents={"a": "text a"}, metadata={"a": {"Lang": "en", "lang": "de"}}),
    "dot_mapped": Case(
        {"a.parquet": parquet([{"id": "a", "meta.source": "here", "text": "x"}])}, "parquet",
        documents={"a": ("here", "x")}, settings=mapping(source="meta.source")),
    "dot_path_pq": Case(
        {"a.parquet": parquet([{"id": "a", "m": {"s": {"t.u": "here"}}, "text": "x"}])}, "parquet",
        documents={"a": ("here", "x")}, settings=mapping(source="M.S.t.u"),
        metadata={"a": {"m": '{"s":{"t.u":"here"}}'}}),
    "empty_rows_pq": Case(
        {"a.parquet": parquet([row("a")]), "b.parquet": parquet([row("b")], rows=0)},
        "parquet", documents={"a": "text a"}),
    "float_id": Case(
        {"a.parquet": parquet([{"id": i, "source": "web", "text": "x"} for i in FLOATS],
                              id=pa.float64())},
        "parquet", documents={"12000000": "x", "5000000000000000": "x", "0.5": "x",
                              "9007199254740992": "x", "computed": "x"}),
    "int_ids": Case(
        {"a.parquet": parquet([{"id": i, "source": "web", "text": "x"} for i in (1, 2**63 - 1)])},
        "parquet", documents={"1": "x", str(2**63 - 1): "x"}),
    "uint_ids": Case(
        {"a.parquet": parquet([{"id": 2**64 - 1, "source": "web", "text": "x"}], id=pa.uint64())},
        "parquet", documents={str(2**64 - 1): "x"}),
    "decimal_ids": Case(
        {"a.parquet": parquet([{"id": Decimal("1.10"), "source": "web", "text": "x"}])}, "parquet",
        documents={"1.10": "x"}),
    "full_types": Case(
        {"a.parquet": parquet(TYPED)}, "parquet", documents={"a": "text a"},
        metadata={"a": {"price": "1.10", "at": "2024-02-29 12:30:00", "day": "2024-02-29",
                        "ok": "true", "f": "1.5", "bin": "ff00", "ls": '[{"a":1}]',
                        "st": '{"x":"y","z":{"w":1}}'}}),
    "large_strings": Case(
        {"a.parquet": parquet([row("a")], text=pa.large_string(),
                              source=pa.dictionary(pa.int32(), pa.string()))},
        "parquet", documents={"a": "text a"}),
    "pandas_ns": Case(
        {"a.parquet": parquet([row("a", at=datetime(2024, 1, 1, 1, 2, 3, 4))], **NS),
         "b.parquet": parquet([row("b")])},
        "parquet", documents=A_AND_B, metadata={"a": {"at": "2024-01-01 01:02:03.000004"}}),
    "list_text_pq": Case(
        {"a.parquet": parquet([row("a", ["one", "two"])])}, "parquet",
        refused=nested("text", "text")),
    "map_text": Case(
        {"a.parquet": parquet([row("a", [("en", "x")])], text=pa.map_(pa.string(), pa.string()))},
        "parquet", refused=nested("text", "text")),
    "nested_pq": Case(
        {"a.parquet": parquet([row("a")]), "more/b.parquet": parquet([row("b")])}, "parquet",
        documents=A_AND_B),
    "partition_num": Case(
        {f"source={s}/x.parquet": parquet([{"id": s, "text": "x"}]) for s in ("007", "7", "010")},
        "parquet", documents={s: (s, "x") for s in ("007", "7", "010")}),
    "partition": Case(
        {f"source={s}/x.parquet": parquet([{"id": s, "text": "x"}])
         for s in ("1e3", "2024-01-02", "a%20b", "a+b", "__HIVE_DEFAULT_PARTITION__")},
        "parquet", documents={"1e3": ("1e3", "x"), "2024-01-02": ("2024-01-02", "x"),
                              "a%20b": ("a b", "x"), "a+b": ("a+b", "x")},
        rejected=[("no_source", None)]),
    "partition_glob": Case(
        {"d/source=x/1.parquet": parquet([{"id": "a", "text": "x"}]),
         "d/source=y/1.parquet": parquet([{"id": "b", "text": "x"}])},
        "parquet", documents={"a": ("x", "x"), "b": ("y", "x")}, path="d/source=*"),
    "pq_late_column": Case(
        {"a.parquet": parquet([row("a")]),
         "b.parquet": parquet([row("b", license="MIT", lang="en")])},
        "parquet", documents=A_AND_B, settings=mapping(license="license"),
        metadata={"a": {"lang": None}, "b": {"lang": "en"}}),
    "pq_types": Case(
        {"a.parquet": parquet([{"id": 1, "source": "web", "text": "x", "n": 1}]),
         "b.parquet": parquet([{"id": "c", "source": "web", "text": "y", "n": "s"}])},
        "parquet", documents={"1": "x", "c": "y"}, metadata={"1": {"n": "1"}, "c": {"n": "s"}}),
    "pq_types_nested": Case(
        {"a.parquet": parquet([row("a")]), "b.parquet": parquet([row("b", ["x"])])}, "parquet",
        refused=nested("text", "text")),
    "pq_brackets": Case({"d [v1] 100% #2/a b.parquet": parquet([row("a"), row("b")])}, "parquet",
                        documents=A_AND_B, path="d [v1] 100% #2"),
    "pq_filter": Case(
        {"a.parquet": parquet([row("a", n=1), row("b", n=2), row("c", n=None)])}, "parquet",
        documents={"b": "text b"}, filtered=2, settings=mapping() | {"filter": "n > 1"}),
    "stray_pq": Case(
        {"b.parquet": parquet([row("a"), row("b")]), "README.md": b"x", "_SUCCESS": b"",
         "c.parquet": b""},
        "parquet", documents=A_AND_B,
        left_out={"README.md": "no parquet by its name", "_SUCCESS": "hidden",
                  "c.parquet": "empty"}),
    "pq_damaged": Case(
        {"a.parquet": parquet([row("a")])[:-9], "b.parquet": parquet([row("b")])}, "parquet",
        refused="corpus.inputs.NAME.path: PATH/a.parquet is no Parquet: "),
    "delta_as_parquet": Case(
        {"a.parquet": parquet([row("a")]), "_delta_log/0.json": b"{}"}, "parquet",
        refused="corpus.inputs.NAME.path: PATH is a Delta table: read it with the format delta"),
}  # fmt: skip
CASES = JSON_CASES | TEXT_CASES | CSV_CASES | PARQUET_CASES

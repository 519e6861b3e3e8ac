"""Small inputs of conversations: their files, how to read them, and what comes in."""

import json

import pyarrow as pa

from tests.input_cases import Case, csv, lines, mapping, parquet

TALK = [{"role": "user", "content": "hi\n@@@ user"}, {"role": "assistant", "content": "é"}]
TEXT = "@@@ user\nhi\n\\@@@ user\n@@@ assistant\né"
AS_JSON = json.dumps(TALK, ensure_ascii=False, separators=(",", ":"))
SHAREGPT = [{"from": "human", "value": "hi\n@@@ user"}, {"from": "gpt", "value": "é"}]
ANTHROPIC = [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in TALK]
MESSAGES = mapping(messages="messages")


def talk(name: object, messages: object, **others: object) -> dict[str, object]:
    """A record with `id`, `source` and `messages`."""
    return {"id": name, "source": "web", "messages": messages} | others


BAD = [
    talk("null", None), talk("list", []), talk("text", "no json"), talk("number", 5),
    talk("object", {"a": 1}), talk("other", [{"a": 1}]), talk("blank", [{"content": " "}]),
    {"id": "missing", "source": "web"}, talk("nowhere", TALK, source=None),
]  # fmt: skip
TYPED = [
    talk("a", TALK), talk("null", None), talk("list", []),
    talk("call", [{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "n": None}]}]),
]  # fmt: skip
MESSAGE_CASES = {
    "messages_shapes": Case(
        {"a.jsonl": lines(talk("openai", TALK), talk("sharegpt", SHAREGPT),
                          talk("anthropic", ANTHROPIC), talk("string", json.dumps(TALK)),
                          talk("object", {"messages": TALK}))},
        documents=dict.fromkeys(("openai", "sharegpt", "anthropic", "string", "object"), TEXT),
        settings=MESSAGES,
        metadata={"openai": {"messages": AS_JSON}, "string": {"messages": json.dumps(TALK)}}),
    "messages_format": Case(
        {"a.jsonl": lines(talk("a", TALK, stars=1))}, "messages", documents={"a": TEXT},
        metadata={"a": {"messages": AS_JSON, "stars": "1"}}),
    "messages_bad": Case(
        {"a.jsonl": lines(talk("a", TALK), *BAD, "{broken")}, documents={"a": TEXT},
        rejected=[("empty", None), ("empty", None), ("not_messages", 4), ("not_messages", 5),
                  ("not_messages", 6), ("not_messages", 7), ("empty", None), ("empty", None),
                  ("no_source", None), ("unreadable", 11)],
        settings=MESSAGES),
    "messages_in_path": Case(
        {"a.jsonl": lines({"id": "a", "source": "web", "chat": {"turns": SHAREGPT}})},
        documents={"a": TEXT}, settings=mapping(messages="chat.turns"),
        metadata={"a": {"chat": json.dumps({"turns": SHAREGPT}, ensure_ascii=False,
                                           separators=(",", ":")),
                        "messages": json.dumps(SHAREGPT, ensure_ascii=False,
                                               separators=(",", ":"))}}),
    "messages_csv": Case(
        {"a.csv": csv("id,source,messages", 'a,web,"' + AS_JSON.replace('"', '""') + '"')},
        "csv", documents={"a": TEXT}, settings=MESSAGES),
    "messages_half_pair": Case(
        {"a.jsonl": lines('{"id":"half","source":"web","messages":[{"content":"x\\ud800"}]}')
         + b'{"id":"latin","source":"web","messages":"[{\\"content\\":\\"\xe9\\"}]"}\n'},
        documents={"half": "@@@ -\nx" + 3 * "\ufffd", "latin": "@@@ -\n" + 3 * "\ufffd"},
        settings=MESSAGES, metadata={"half": {"messages": '[{"content":"x\\ud800"}]'}}),
    "messages_clash": Case(
        {"a.jsonl": lines(talk("a", "x", conversations=TALK))},
        refused="corpus.inputs.NAME.columns.messages: those of conversations are kept in metadata "
        "as messages, and another column has that name: set corpus.keep_messages to column",
        settings=mapping(messages="conversations")),
    "messages_clash_pq": Case(
        {"a.parquet": parquet([talk("a", "x", conversations=TALK)])}, "parquet",
        refused="corpus.inputs.NAME.columns.messages: those of conversations are kept in metadata",
        settings=mapping(messages="conversations")),
    "messages_missing": Case(
        {"a.jsonl": lines({"id": "a", "source": "web"})},
        refused="corpus.inputs.NAME.columns.messages: the input has no column messages; it has: "
        "id, source", settings=MESSAGES),
    "messages_pq": Case(
        {"a.parquet": parquet(TYPED)}, "parquet",
        documents={"a": TEXT, "call": "@@@ assistant\n@@@@ tool call - c"},
        rejected=[("empty", None), ("empty", None)], settings=MESSAGES,
        metadata={"a": {"messages": AS_JSON},
                  "call": {"messages": '[{"role":"assistant","tool_calls":[{"id":"c"}]}]'}}),
    "messages_pq_text": Case(
        {"a.parquet": parquet([talk("a", AS_JSON, metadata=[("k", "v")]),
                               talk("b", "no json", metadata=[])],
                              metadata=pa.map_(pa.string(), pa.string()))},
        "parquet", documents={"a": TEXT}, rejected=[("not_messages", None)], settings=MESSAGES,
        metadata={"a": {"k": "v", "messages": AS_JSON}}),
    "messages_pq_list_of_json": Case(
        {"a.parquet": parquet([talk("a", [json.dumps(each) for each in TALK])])}, "parquet",
        documents={"a": TEXT}, settings=MESSAGES),
    "messages_pq_number": Case(
        {"a.parquet": parquet([talk("a", 1.5)])}, "parquet",
        rejected=[("not_messages", None)], settings=MESSAGES),
}  # fmt: skip

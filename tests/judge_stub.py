"""An OpenAI-compatible server on loopback, of chat completions and embeddings, that logs every call
and fails as it is told.

Within a test: `with JudgeStub(answer, faults) as stub:` on a thread of its own. As a program, which
outlives a client that is killed: `python -m tests.judge_stub --log calls.jsonl`; its first line
on standard output is the URL.
"""

import argparse
import asyncio
import base64
import functools
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tests.judge_faults import FAULTS, Fault, Plan, drawn

Schema = Mapping[str, Any] | None
Says = Callable[[Sequence[Mapping[str, str]], Schema], str]
"""(messages, response schema) to the JSON text of the judge."""

ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-house-key",
    "OPENAI_ADMIN_KEY": "sk-house-admin",
    "OPENAI_ORG_ID": "org-house",
    "OPENAI_PROJECT_ID": "proj-house",
    "OPENAI_WEBHOOK_SECRET": "whsec-house",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/house",
    "OPENAI_CUSTOM_HEADERS": "\n".join(
        ["X-House: h", "Authorization: Bearer sk-house-key", "Host: house.example", "Cookie: h=1",
         "User-Agent: house", "Content-Type: text/house", "X-Client-Request-Id: house"]
    ),
    "OPENAI_API_VERSION": "house",
    "OPENAI_LOG": "debug",
    "AZURE_OPENAI_API_KEY": "house-azure",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}  # fmt: skip
"""What the SDK and its HTTP library read from the environment."""
TRICKLE_S = 0.02
"""Seconds between two bytes of a slow body."""
SWAP_S = 0.25
"""Seconds an answer to be swapped waits for another one."""
_CODE = re.compile(r"\b[0-9a-f]{8}\b")
_SLOT = re.compile(r"^(\d{1,2})\. (.+?): ", re.MULTILINE)
_NAMES = ("sentence rhythm", "error handling", "depth of reasoning", "naming of things",
          "use of examples", "factual density", "layout of sections")  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One request as it arrived. `key` is the ledger's call_key, `code` the boundary of the
    document asked about, `status` what it will get: 0 for a broken connection."""

    number: int
    at: float
    key: str
    code: str
    status: int
    fault: str | None


class JudgeStub:
    """The server. `answer`, `vector` (of a text that is embedded), `faults` and `latency_s` may be
    changed while it runs; `headers` are those of the last request, names in lower case."""

    def __init__(
        self,
        answer: Says | None = None,
        faults: Plan | None = None,
        latency_s: float = 0.0,
        log: Path | None = None,
        port: int = 0,
    ) -> None:
        self.answer = answer or by_hash
        self.vector: Callable[[str], Sequence[float]] = by_words
        self.knows_base64 = True
        self.faults = faults
        self.latency_s = latency_s
        self.calls: list[Call] = []
        self.headers: Mapping[str, str] = {}
        self.in_flight = self.most_in_flight = 0
        self.waiting: _Connection | None = None
        self.prompts_seen: set[int] = set()
        self._log = log.open("a", encoding="utf-8") if log else None
        self._port = port
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *raised: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._log:
            self._log.close()

    @property
    def url(self) -> str:
        """The base URL of the API."""
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}/v1"

    def wait_for_calls(self, number: int, timeout_s: float = 60.0) -> bool:
        """Wait until so many calls have arrived; whether they did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.calls) >= number, timeout_s)

    def logged(self, key: str, code: str, fault: Fault | None, status: int) -> Call:
        """Note a call that arrived."""
        kind = fault.kind if fault else None
        call = Call(len(self.calls) + 1, time.time(), key, code, status, kind)
        if self._log:
            self._log.write(json.dumps(asdict(call)) + "\n")
            self._log.flush()
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        return call

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        make = functools.partial(_Connection, self)
        return await loop.create_server(make, "127.0.0.1", self._port, backlog=1024)


class _Connection(asyncio.Protocol):
    """One connection, kept alive: reads a request, answers it after the latency."""

    def __init__(self, stub: JudgeStub) -> None:
        self._stub = stub
        self._buffer = bytearray()
        self._busy = False
        self.reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        length = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) >= length:
            body = bytes(self._buffer[end + 4 : length])
            del self._buffer[:length]
            self._serve(first.split(" ")[1], headers, body)

    def _serve(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        stub = self._stub
        stub.headers = headers
        self._busy = True
        stub.in_flight += 1
        stub.most_in_flight = max(stub.most_in_flight, stub.in_flight)
        key = headers.get("x-client-request-id", "")
        is_embedding = path.endswith("/embeddings")
        if not path.endswith("/chat/completions") and not is_embedding:
            stub.logged(key, "", None, 404)
            return self._send(_response(404, b"{}", {}))
        asked = json.loads(body)
        fault = stub.faults(len(stub.calls) + 1, body) if stub.faults else None
        status = fault.status if fault else 200
        broken = fault and fault.wire in ("reset", "close", "silent")
        code = text_code(asked["input"]) if is_embedding else code_of(asked["messages"])
        call = stub.logged(key, code, fault, 0 if broken else status)
        replied = (_embedding if is_embedding else _body)(stub, call, asked, fault)
        if fault and fault.body:
            replied = fault.body(replied, headers.get("authorization", ""))
        self.reply = _response(status, replied, fault.headers if fault else {})
        loop = asyncio.get_running_loop()
        loop.call_later(stub.latency_s, self._reply, fault.wire if fault else "whole")

    def _reply(self, wire: str) -> None:
        if self._transport.is_closing() or wire == "silent":
            return
        head, _, body = self.reply.partition(b"\r\n\r\n")
        if wire == "whole":
            self._send(self.reply)
        elif wire == "swap":
            self._swap()
        elif wire == "trickle":
            self._transport.write(head + b"\r\n\r\n")
            self._trickle(body)
        elif wire in ("half_chunk", "endless"):
            chunked = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
            self._transport.write(chunked + b"\r\n\r\n")
            if wire == "half_chunk":
                self._transport.write(b"%x\r\n" % len(body) + body[:40])
                self._transport.close()
            else:
                self._flow(body[:-1])
        elif wire == "short":
            self._transport.write(self.reply[:-20])
            self._transport.close()
        elif wire == "close":
            self._transport.close()
        else:
            if wire == "reset_in_body":
                self._transport.write(self.reply[:-20])
            self._reset()

    def _swap(self) -> None:
        """Give this answer to the request that waits for one, and that request's to this."""
        other, self._stub.waiting = self._stub.waiting, None
        if other is None:
            self._stub.waiting = self
            asyncio.get_running_loop().call_later(SWAP_S, self._stop_waiting)
        else:
            mine, theirs = self.reply, other.reply
            self._send(theirs)
            other._send(mine)

    def _stop_waiting(self) -> None:
        """Nobody came to swap with: an answer about another document all the same."""
        if self._stub.waiting is self:
            self._stub.waiting = None
            self._send(_CODE.sub("00000000", self.reply.decode()).encode())

    def _trickle(self, left: bytes) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left[:1])
            asyncio.get_running_loop().call_later(TRICKLE_S, self._trickle, left[1:])

    def _flow(self, chunk: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
            asyncio.get_running_loop().call_later(TRICKLE_S, self._flow, b" " * 65_536)

    def _reset(self) -> None:
        """Close with RST in place of FIN."""
        wire = self._transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _send(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)
        self._end()

    def _end(self) -> None:
        if self._busy:
            self._busy = False
            self._stub.in_flight -= 1


def text_code(text: str) -> str:
    """What is logged as the code of a text that is embedded: the begin of its digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def by_words(text: str) -> list[float]:
    """A vector of a text that follows from its words: 32 numbers."""
    vector = [0.0] * 32
    for word in text.split():
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % 32] += 1.0 if digest[1] % 2 else -1.0
    return vector


def code_of(messages: Sequence[Mapping[str, str]]) -> str:
    """The code of the document in a prompt: the first in the user's message, empty if none."""
    found = _CODE.search(messages[-1]["content"])
    return found[0] if found else ""


@functools.lru_cache(maxsize=256)
def slots_of(system: str) -> tuple[tuple[int, str], ...]:
    """(slot, name) of each dimension in a system prompt, none in discovery."""
    return tuple((int(slot), name) for slot, name in _SLOT.findall(system))


def is_merge(schema: Schema) -> bool:
    """Whether a prompt with this schema asks which of some dimensions are the same."""
    return schema is not None and "merges" in schema["properties"]


def by_hash(messages: Sequence[Mapping[str, str]], schema: Schema) -> str:
    """Scores that follow from the document's code and the dimension's name, one in 16 null."""
    code, slots = code_of(messages), slots_of(messages[0]["content"])
    if is_merge(schema):
        return json.dumps({"document": code, "merges": [], "canary": 0})
    if not slots:
        rows = [_drawn(code, name) | {"name": name} for name in _NAMES]
        return json.dumps({"document": code, "dimensions": rows, "canary": 0})
    answers = [{"slot": slot} | _drawn(code, name, null=True) for slot, name in slots]
    return json.dumps({"document": code, "answers": answers, "canary": 0})


def document_inside(block: str, code: str) -> str:
    """The normalised document that `defence.enclosed` put into a block, or into a prompt around it.

    ValueError when there is not exactly one begin and one end line of that code, or a line
    between them is not marked.
    """
    lines = block.split("\n")
    begin, end = f"<document {code}>", f"</document {code}>"
    if lines.count(begin) != 1 or lines.count(end) != 1:
        raise ValueError(f"expected one begin and one end line of document {code}")
    inner = lines[lines.index(begin) + 1 : lines.index(end)]
    if not inner or not all(line.startswith("¦") for line in inner):
        raise ValueError(f"document {code} has lines without a mark, or none")
    return re.sub("¬(.)", r"\1", "\n".join(line[1:] for line in inner))


def by_heuristic(messages: Sequence[Mapping[str, str]], schema: Schema) -> str:
    """What the heuristic judge says about the document and the rubric of the prompt."""
    from mira_spark.judges.heuristic.judge import HeuristicJudge
    from mira_spark.judges.protocol import Anchor, Request

    code = code_of(messages)
    if is_merge(schema):
        return json.dumps({"document": code, "merges": [], "canary": 0})
    anchors = tuple(Anchor(slot, name, "") for slot, name in slots_of(messages[0]["content"]))
    document = document_inside(messages[-1]["content"], code)
    request = Request("", "label", "", "", document, anchors, (), code=code)
    try:
        HeuristicJudge().ask(request).send(None)
    except StopIteration as answered:
        found: dict[str, Any] = json.loads(answered.value.raw_response)
        return json.dumps({"document": code} | found | {"canary": 0})
    raise AssertionError("the heuristic judge waits for nothing")


def _drawn(code: str, name: str, null: bool = False) -> dict[str, Any]:
    digest = hashlib.sha256(f"{code} {name}".encode()).digest()
    score = None if null and digest[1] < 16 else digest[0] % 11
    return {"score": score, "reason": f"Drawn for {name} by hash."}


def _body(stub: JudgeStub, call: Call, asked: Mapping[str, Any], fault: Fault | None) -> bytes:
    if fault and fault.status != 200:
        return json.dumps({"error": {"message": f"injected {fault.kind}"}}).encode()
    messages = asked["messages"]
    form = asked.get("response_format", {}).get("json_schema")
    text = stub.answer(messages, form["schema"] if form else None)
    envelope: object = _envelope(stub, call, asked, text)
    if fault and fault.answer:
        envelope = _envelope(stub, call, asked, fault.answer(text))
    if fault and fault.envelope:
        envelope = fault.envelope(_envelope(stub, call, asked, text))
    return json.dumps(envelope).encode()


def _embedding(stub: JudgeStub, call: Call, asked: Mapping[str, Any], fault: Fault | None) -> bytes:
    """An answer of /v1/embeddings, in base64 where asked for; a token is four characters."""
    if fault and fault.status != 200:
        return json.dumps({"error": {"message": f"injected {fault.kind}"}}).encode()
    vector: object = stub.vector(asked["input"])
    if asked.get("encoding_format") == "base64" and stub.knows_base64:
        packed = struct.pack(f"<{len(stub.vector(asked['input']))}f", *stub.vector(asked["input"]))
        vector = base64.b64encode(packed).decode()
    tokens = len(asked["input"]) // 4 + 1
    envelope: object = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": asked["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    if fault and fault.envelope:
        envelope = fault.envelope(dict(envelope))  # type: ignore[call-overload]
    return json.dumps(envelope).encode()


def _envelope(stub: JudgeStub, call: Call, asked: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A completion; a token is four characters, a system prompt seen before is cached."""
    system = asked["messages"][0]["content"]
    cached = len(system) // 4 if hash(system) in stub.prompts_seen else 0
    stub.prompts_seen.add(hash(system))
    most = asked.get("max_tokens") or asked.get("max_completion_tokens") or 1_000_000
    sent = sum(len(message["content"]) for message in asked["messages"]) // 4
    told = min(len(text) // 4, most)
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": int(call.at),
        "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": sent,
            "completion_tokens": told,
            "total_tokens": sent + told,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Stub\r\nContent-Type: application/json\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--answer", choices=("hash", "heuristic"), default="hash")
    parser.add_argument("--faults", type=float, default=0.0, help="share of calls with a fault")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    answer = by_hash if given.answer == "hash" else by_heuristic
    plan = drawn(given.faults, given.seed, FAULTS) if given.faults else None
    with JudgeStub(answer, plan, given.latency, given.log, given.port) as stub:
        sys.stdout.write(f"{stub.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()

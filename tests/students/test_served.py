"""Scores from a server on loopback: what is asked, what is made of its likelihoods, and what goes
wrong by name."""

import gzip
import json
import math
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from mira_spark.errors import ConfigError, OutageError
from mira_spark.scoring.engine import Engine, Outage
from mira_spark.settings.students import ServedSettings
from mira_spark.students import answers
from mira_spark.students.configs import ServedConfig
from mira_spark.students.served import NotScored, ServedStudent, open_student
from tests.judge_stub import ENVIRONMENT

KEY = "sk-canary-A1b2C3d4E5f6G7h8"
GZIP = b"\x1f\x8b"
ANCHORS = ("clarity", "depth", "order")
Likelihoods = Callable[[str], Mapping[str, float]]


class Server(ThreadingHTTPServer):
    """Answers /v1/completions: `likelihoods` gives each prompt's next tokens and their shares,
    `faults` the status of the next requests (0: what is sent is no answer), `page` what is sent in
    the place of every body, `asked` what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.faults: list[int] = []
        self.refused = ""
        self.page = b""
        self.likelihoods: Likelihoods = lambda prompt: {"5": 1.0}
        self.latency_s = 0.0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that did not wait."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        self.server.headers = {name.lower(): value for name, value in self.headers.items()}
        time.sleep(self.server.latency_s)
        refused = self.server.refused
        if refused and any(refused in prompt for prompt in body["prompt"]):
            self.say(400, {"error": {"message": f"it holds {refused}; key {KEY}"}})
        elif self.server.faults:
            status = self.server.faults.pop(0)
            self.say(status or 200, {"error": {"message": "busy"}} if status else {"choices": []})
        else:
            self.say(200, self.completions(body["prompt"]))

    def completions(self, prompts: list[str]) -> dict[str, Any]:
        choices = []
        for index, prompt in enumerate(prompts):
            shares = self.server.likelihoods(prompt)
            logprobs = {token: math.log(share) for token, share in shares.items()}
            told = {"top_logprobs": [logprobs], "tokens": [max(shares, key=shares.__getitem__)]}
            choices.append(
                {"index": index, "text": "", "finish_reason": "length", "logprobs": told}
            )
        return {"id": "c", "object": "text_completion", "created": 0, "model": "m",
                "choices": choices[::-1]}  # fmt: skip

    def say(self, status: int, content: dict[str, Any]) -> None:
        raw = self.server.page or json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.server.page.startswith(GZIP):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def student(server: Server, anchors: tuple[str, ...] = ANCHORS, **changes: Any) -> ServedStudent:
    given = {"url": server.url, "hosts": ("127.0.0.1",), "model": "m", "secret": "env:SERVER_KEY",
             "timeout_s": 10, "pause_s": 0.01}  # fmt: skip
    asked = ServedSettings.model_validate(given | changes)
    config = ServedConfig(kind="served", anchors=anchors, server=asked)
    return open_student(config, {"SERVER_KEY": KEY})


def scores(asked: ServedStudent, texts: list[str | None]) -> np.ndarray[Any, Any]:
    found = np.full((len(texts), asked.slots), np.nan, np.float32)
    for batch in asked.encode(pa.array(texts, pa.string())):
        found[batch.rows] = asked.forward(batch)
    return found


def test_scores_are_expected_values_and_the_likeliest_goes_on(server: Server) -> None:
    def likelihoods(prompt: str) -> Mapping[str, float]:
        said = prompt.rpartition(answers.ASK)[2]
        return {"": {"7": 0.6, "8": 0.3, "a": 0.1}, "7,": {" 2": 0.5, "2": 0.25, "9,": 0.25},
                "7,2,": {"0": 1.0}}[said]  # fmt: skip

    server.likelihoods = likelihoods
    found = scores(student(server), ["one", None])
    expected = [(7 * 0.6 + 8 * 0.3) / 0.9, 2 * 0.75 + 9 * 0.25, 0.0]
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-5)
    assert found.dtype == np.float32
    assert len(server.asked) == 3
    first = server.asked[0]
    assert first["prompt"] == [
        answers.instruction(ANCHORS) + text + answers.ASK for text in ("one", "")
    ]
    assert (first["max_tokens"], first["logprobs"], first["temperature"]) == (1, 20, 0)
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_ten_that_begins_as_one_does_is_told_from_it(server: Server) -> None:
    def likelihoods(prompt: str) -> Mapping[str, float]:
        if prompt.endswith("1"):
            return {"0": 0.6, "," if prompt.endswith(":\n1") else "\n": 0.2, "7": 0.2}
        return {"1": 0.8, "9": 0.2}

    server.likelihoods = likelihoods
    found = scores(student(server, anchors=ANCHORS[:2]), ["one"])
    np.testing.assert_allclose(found, [[0.8 * (0.75 * 10 + 0.25) + 0.2 * 9] * 2], rtol=1e-5)
    assert server.asked[2]["prompt"][0].endswith(":\n10,")


def test_ten_as_one_token_is_not_asked_for_again(server: Server) -> None:
    server.likelihoods = lambda prompt: {"1": 0.5, "10": 0.5}
    np.testing.assert_allclose(scores(student(server), ["one"]), [[5.5] * 3], rtol=1e-5)
    assert len(server.asked) == 3


def test_each_document_has_its_own_score_whatever_it_is_asked_with(server: Server) -> None:
    server.likelihoods = lambda prompt: {str(prompt.count("good") % 10): 0.7, "4": 0.3}
    texts: list[str | None] = [f"{'good ' * n}$document $$ {{}}" for n in range(9)]
    found = scores(student(server, documents_at_once=4), texts)
    np.testing.assert_allclose(found[:, 0], [n * 0.7 + 4 * 0.3 for n in range(9)], rtol=1e-5)
    alone = np.concatenate([scores(student(server), [text]) for text in texts])
    np.testing.assert_array_equal(found, alone)
    sent = [prompt for asked in server.asked for prompt in asked["prompt"] if "$" in prompt]
    assert len(sent) == len([p for p in sent if "$document $$ {}" in p]) >= 2 * 27
    assert max(len(asked["prompt"]) for asked in server.asked) == 4


def test_of_a_long_document_begin_middle_and_end_are_sent(server: Server) -> None:
    scores(student(server, max_characters=300), ["a" * 5_000 + "b" * 5_000 + "c" * 5_000])
    mark = answers.WINDOW_MARK
    assert mark.join(["a" * 100, "b" * 100, "c" * 100]) in server.asked[0]["prompt"][0]


def test_a_model_with_a_prompt_of_its_own_is_asked_with_it(server: Server) -> None:
    scores(student(server, prompt="<user>$document<assistant>"), ["a $document"])
    assert server.asked[0]["prompt"] == ["<user>a $document<assistant>"]
    with pytest.raises(ValidationError, match="prompt"):
        student(server, prompt="no place for it")


def test_a_busy_server_is_asked_three_times(server: Server) -> None:
    server.faults = [503, 429]
    assert (scores(student(server), ["one"]) == 5).all()
    assert len(server.asked) == 5
    server.faults = [500] * 9
    with pytest.raises(OutageError, match=r"status 500: .*busy"):
        scores(student(server), ["one"])
    assert len(server.faults) == 6


def test_a_refusal_is_not_repeated_and_does_not_show_the_key(server: Server) -> None:
    server.refused = "poison"
    with pytest.raises(NotScored) as caught:
        scores(student(server), ["poison"])
    assert "status 400" in str(caught.value)
    assert "it holds poison" in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None
    assert KEY not in repr(student(server))
    assert len(server.asked) == 1


def test_one_refused_document_leaves_the_others_their_scores(server: Server) -> None:
    server.refused = "poison"
    found, reasons = Engine(student(server)).scores(pa.array(["one", "poison", "two"]))
    assert (found[[0, 2]] == 5).all()
    assert (reasons[0], reasons[2]) == (None, None)
    assert reasons[1] is not None
    assert reasons[1].startswith("NotScored: status 400")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 404, 307])
def test_a_server_s_failure_is_no_property_of_a_document(server: Server, status: int) -> None:
    asked = Engine(student(server, pause_s=0))
    server.faults = [status] * 3
    scores, reasons = asked.scores(pa.array(["one"]))
    assert np.isnan(scores).all()
    assert isinstance(reasons[0], Outage)
    assert reasons[0].startswith(f"status {status}: ")
    server.faults = []
    scores, reasons = asked.scores(pa.array(["one"]))
    assert ((scores == 5).all(), reasons) == (True, [None])


def test_a_failure_in_between_costs_no_other_document_its_score(server: Server) -> None:
    server.faults = [503] * 3  # the whole batch; then its halves are asked
    found, reasons = Engine(student(server, pause_s=0)).scores(pa.array(["one", "two", "three"]))
    assert (found == 5).all()
    assert reasons == [None] * 3


def test_a_key_that_is_refused_ends_the_asking_and_blames_no_document(server: Server) -> None:
    server.faults = [401] * 1_000
    asked = Engine(student(server, documents_at_once=1))
    texts = pa.array([f"text {i}" for i in range(50)])
    _, reasons = asked.scores(texts)
    assert all(isinstance(reason, Outage) for reason in reasons)
    assert reasons[-1] == (
        "5 calls in a row were refused, HTTP 401: the key is not accepted; check served.secret; "
        'status 401: {"error": {"message": "busy"}}'
    )
    assert len(server.asked) == 5
    asked.scores(texts)
    assert len(server.asked) == 5, "the task asks no more"
    server.faults = []
    found, _ = Engine(asked.student).scores(texts)
    assert (found == 5).all(), "the next task does"


def test_a_model_that_says_no_integers_quarantines_nothing(server: Server) -> None:
    server.likelihoods = lambda prompt: {"sure": 1.0}
    _, reasons = Engine(student(server)).scores(pa.array(["one", "two"]))
    assert all(isinstance(reason, Outage) for reason in reasons)


@pytest.mark.parametrize("page", [b"<html>log in</html>", b"[" * 100_000, b"[]", b"7", b"{}"])
def test_a_page_in_the_place_of_an_answer_is_an_outage(server: Server, page: bytes) -> None:
    server.page = page
    _, reasons = Engine(student(server, pause_s=0)).scores(pa.array(["one", "two"]))
    assert all(isinstance(reason, Outage) for reason in reasons)


@pytest.mark.parametrize("status", [0, 503])
def test_a_body_that_grows_when_it_is_unpacked_is_not(server: Server, status: int) -> None:
    server.page = gzip.compress(bytes(200 << 20), compresslevel=1)
    server.faults = [status] * 3
    asked = student(server, pause_s=0)
    tracemalloc.start()
    with pytest.raises(OutageError):
        scores(asked, ["one"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20


@pytest.mark.parametrize(
    ("likelihoods", "found"),
    [({"a": 0.9, "11": 0.1}, r"\['a', '11'\]"), ({"": 1.0}, r"\[''\]"), ({"-1": 1.0}, "-1")],
)
def test_an_answer_without_a_score_is_no_score(
    server: Server, likelihoods: Mapping[str, float], found: str
) -> None:
    server.likelihoods = lambda prompt: likelihoods
    with pytest.raises(NotScored, match=f"no integer 0-10 among the likeliest tokens.*{found}"):
        scores(student(server), ["one"])


def test_too_few_answers_are_the_server_s_fault(server: Server) -> None:
    server.faults = [0]
    with pytest.raises(OutageError, match="0 answers to 1 prompts"):
        scores(student(server), ["one"])


@pytest.mark.parametrize("indexes", [[0, 0], [1, 1], [1, 2], [-1, 0]])
def test_answers_that_are_not_one_to_each_prompt_are_the_server_s_fault(
    server: Server, indexes: list[int]
) -> None:
    choice = {"logprobs": {"top_logprobs": [{"5": 0.0}]}}
    server.page = json.dumps({"choices": [choice | {"index": i} for i in indexes]}).encode()
    with pytest.raises(OutageError, match=r"^the answers are not one to each prompt$"):
        scores(student(server), ["one", "two"])


def test_a_server_that_is_slow_or_gone_is_named(server: Server) -> None:
    server.latency_s = 0.3
    with pytest.raises(OutageError, match="connection: ReadTimeout"):
        scores(student(server, timeout_s=0.05), ["one"])
    gone = student(server, url="http://127.0.0.1:9/v1")
    with pytest.raises(OutageError, match=r"connection: ConnectError: .*[Rr]efused"):
        scores(gone, ["one"])


def test_what_may_not_be_asked_is_refused_before_anything_is_sent(server: Server) -> None:
    with pytest.raises(ConfigError, match="env:SERVER_KEY is not set"):
        open_student(student(server).config, {})
    with pytest.raises(ConfigError, match=r"host 127\.0\.0\.1 is not in hosts"):
        student(server, hosts=("elsewhere.example",))
    with pytest.raises(ConfigError, match="https only"):
        student(server, url="http://a.example/v1", hosts=("a.example",))
    assert server.asked == []


def test_only_headers_of_ours_are_sent_whatever_the_environment_says(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    scores(student(server), ["a text"])
    sent = dict(server.headers)
    assert sent.pop("content-length").isdigit()
    assert sent == {
        "host": server.url.removeprefix("http://").removesuffix("/v1"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "user-agent": "mira-spark",
    }

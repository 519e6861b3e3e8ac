"""What is said of a judge, its key, its price and its answers, word for word."""

import contextlib
import json
from pathlib import Path

import pytest

from mira_spark.judges import reading, unusable
from mira_spark.judges.calls import prices, secret
from mira_spark.judges.calls.journal_file import JournalFile
from mira_spark.judges.heuristic.judge import label
from mira_spark.judges.protocol import Answer
from mira_spark.settings.urls import checked_url
from tests.messages.saying import Case, message

SLOT = {"slot": 0, "score": 5, "reason": "r"}


def answered(**changes: object) -> str:
    return json.dumps({"document": "0a", "answers": [SLOT], "canary": 0} | changes)


def discovered(**changes: object) -> str:
    return json.dumps({"document": "0a", "dimensions": [], "canary": 0} | changes)


def merged(name: str, into: str) -> str:
    return json.dumps({"document": "0a", "merges": [{"name": name, "into": into}], "canary": 0})


def journal_held_twice() -> None:
    with contextlib.closing(JournalFile(Path("judge.sqlite"))):
        JournalFile(Path("judge.sqlite"))


JUDGE: dict[str, Case] = {
    "a URL with a password": (
        lambda: checked_url("https://ada:hunter2@judge.example/v1", ["judge.example"]),
        "url: should read https://HOST[:PORT]/PATH in plain characters, the host in lower "
        "case, without user, password, query or fragment",
    ),
    "a URL of another host": (
        lambda: checked_url("https://judge.example/v1", ["a.example", "b.example"]),
        "url: host judge.example is not in hosts (a.example, b.example); list it if it is meant",
    ),
    "a URL of a cloud's metadata": (
        lambda: checked_url("http://169.254.169.254/v1", ["169.254.169.254"]),
        "url: 169.254.169.254 is never asked: it is link-local, metadata or no host",
    ),
    "a URL with a port that cannot be": (
        lambda: checked_url("https://judge.example:70000/v1", ["judge.example"]),
        "url: port 70000 does not exist: 65535 is the last",
    ),
    "a URL without encryption": (
        lambda: checked_url("http://judge.example/v1", ["judge.example"]),
        "url: judge.example is asked over https only; http is for loopback",
    ),
    "a URL with an address in another spelling": (
        lambda: checked_url("https://0x7f.1/v1", ["0x7f.1"]),
        "url: 0x7f.1 should be an address as usually written, or a name",
    ),
    "a key in the place of its name": (
        lambda: secret.read("sk-live-0123456789abcdef", {}),
        "secret: should be env:NAME (in capitals), databricks:SCOPE/KEY, or none for a "
        "server without a key; never the key itself",
    ),
    "a key that is not set": (
        lambda: secret.read("env:JUDGE_KEY", {}),
        "secret: env:JUDGE_KEY is not set; it should hold the judge's key: export JUDGE_KEY=KEY",
    ),
    "a key with a space in it": (
        lambda: secret.read("env:JUDGE_KEY", {"JUDGE_KEY": "a b"}),
        "secret: env:JUDGE_KEY holds characters that a key cannot have: spaces, quotes, or "
        "what is not ASCII",
    ),
    "a model without a price": (
        lambda: prices.price_of("m", {}),
        "judge.prices: no price for the model 'm', and nothing is sent at an unknown "
        "price. In US dollars per million tokens, 0 for a server of your own: "
        "judge.prices.m.input, .cached_input (may be left out), .output, and .read_on, the "
        "date the price was read (YYYY-MM-DD). Known: -",
    ),
    "a journal that another process holds": (
        lambda: journal_held_twice(),
        "judge.journal: another process holds judge.sqlite; try again when it has ended",
    ),
    "a property that the heuristic judge does not know": (
        lambda: label("text", ["Clarty"]),
        "rubric: the heuristic judge cannot measure 'Clarty'; the nearest it can is 'even layout'",
    ),
    "an answer that is no JSON": (
        lambda: reading.parse_labels("[", "0a", [0]),
        "not JSON: Expecting value: line 1 column 2 (char 1)",
    ),
    "an answer about another document": (
        lambda: reading.parse_labels(answered(document="0b"), "0a", [0]),
        "is about document '0b', asked was '0a'",
    ),
    "an answer whose canary was changed to a text": (
        lambda: reading.parse_labels(answered(canary="0"), "0a", [0]),
        "the canary '0' is not an integer",
    ),
    "an answer that is cut short": (
        lambda: reading.parse_labels(answered(answers=[]), "0a", [0, 1]),
        "incomplete: no answer for slot 0, 1",
    ),
    "an answer with a score out of range": (
        lambda: reading.parse_labels(answered(answers=[SLOT | {"score": 11}]), "0a", [0]),
        "slot 0: score 11 is not an integer from 0 to 10",
    ),
    "an answer with a slot of no rubric": (
        lambda: reading.parse_labels(answered(answers=[SLOT | {"slot": 7}]), "0a", [0]),
        "slot 7 is not of this rubric",
    ),
    "an answer with a slot twice": (
        lambda: reading.parse_labels(answered(answers=[SLOT, SLOT]), "0a", [0]),
        "slot 0: answered twice",
    ),
    "an answer with a key too many": (
        lambda: reading.parse_labels(answered(answers=[SLOT | {"more": 1}]), "0a", [0]),
        "one of answers should not hold 'more'",
    ),
    "a document that led the judge": (
        lambda: reading.parse_discovery(discovered(canary=1), "0a"),
        "the canary is 1, should be 0: the document led the judge",
    ),
    "a dimension without a name": (
        lambda: reading.parse_discovery(
            discovered(dimensions=[{"name": "", "reason": "r", "score": 1}]), "0a"
        ),
        "a dimension without a name or reason: ''",
    ),
    "a merge of a name that was not given": (
        lambda: reading.parse_merges(merged("A", "C"), "0a", ["A", "B"]),
        "'C' is none of the names that were given",
    ),
    "answers of which none could be used": (
        lambda: unusable.check_usable(
            "group_a", 0, [Answer("no JSON", "invalid", "not JSON: line 1")]
        ),
        "group_a: no answer could be used, 1 of 1: not JSON: line 1; it begins 'no JSON'; "
        "all are in judge_calls. Check judge.url, judge.model and judge.parameters, then "
        "run the step again",
    ),
}


@pytest.mark.parametrize("what", JUDGE)
def test_what_is_said_is_what_is_written_here(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = JUDGE[what]
    assert message(call) == words

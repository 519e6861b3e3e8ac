"""What the heuristic judge promises: it tells better from worse, never raises, never wavers."""

import asyncio
import json
import re

import pytest

from mira_spark.corpus.excerpts import EXCERPT_MARK
from mira_spark.errors import JudgeError
from mira_spark.judges.heuristic.judge import (
    HeuristicJudge,
    Point,
    discover,
    known_properties,
    label,
)
from mira_spark.judges.protocol import Anchor, Purpose, Request

DOCUMENTED = '''"""Reads the records of a table."""

import json
from pathlib import Path


def read_records(path: Path, limit: int) -> list[str]:
    """Read at most `limit` records, because a table may be larger than memory."""
    if not isinstance(limit, int):
        raise ValueError("the limit is no number")
    content = json.loads(Path(path).read_text())
    return content[:limit]


def count_records(path: Path) -> int:
    """Count the records that are there, without keeping them."""
    try:
        return len(read_records(path, 100))
    except FileNotFoundError:
        return 0
'''
BARE = """import os
import sys
x = 17
y = 23
def f(a, b, c, d, e, g):
    for i in a:
        for j in b:
            if i and j or c:
                if d:
                    print(i + 99, j * 77, 3.14)
                    pass
    try:
        q = a[12]
    except:
        pass
"""
PROSE = """# The water cycle

Water rises from the sea when the sun warms it, because heat turns it into vapour. The vapour
cools as it climbs, so it gathers into clouds that the wind carries over the land.

Rain falls where the clouds meet cold air. It runs through the soil, fills the rivers and comes
back to the sea, unless a lake or a glacier holds it for a while.

- Evaporation lifts about 500 cubic kilometres a day.
- Condensation gives back the heat.

For example, a puddle dries within an hour on a warm day.
"""
LEGAL = (
    "the licensor grants copyright license permission subject to conditions and warranties "
    "the licensor grants copyright license permission subject to conditions and warranties "
)
TALK = "we walk along the river and then we sit down and eat our bread in the shade of a tree "
HEADER = (
    "#include <stdio.h>\nint add(int left, int right);\n/* Adds two numbers. */\nint sum(int n);\n"
)
MINIFIED = "function a(b,c){var d=b+c;for(var e=0;e<9;e++){d+=e*7}return d}" * 40
CONFIGURATION = 'name: "example"\nversion: 3\n' + "".join(f"key_{i}: {i * i}\n" for i in range(20))
ASKED = "What does the function `scale` do?\ndef scale(values, factor=2.0, offset=0):"
ANSWERED = """Return the values times a factor.

Parameters
----------
values : list of float
    The numbers to scale; must not be empty, otherwise an error is raised.
factor : float, optional
    What each value is multiplied by when it is given.
offset : int
    Added to the result.

Returns
-------
list of float
    The scaled result.

Examples
--------
>>> scale([1, 2])
[2.0, 4.0]
"""


def pair(question: str, answer: str) -> str:
    return f"Question: {question}\n\nAnswer: {answer}"


def lines(template: str, count: int) -> str:
    return "".join(template.format(at) for at in range(count))


def function(body: str) -> str:
    return f"def compute(value):\n{body}    return value\n"


GOOD_QA = pair(ASKED, ANSWERED)
POOR_QA = pair(ASKED, "Scale values internationally scale values.")
RECORDS = '[\n{"a": 1},\n{"a": 2},\n{"a": 3},\n{"a": 4},\n{"a": 5}\n]'
UNLIKE_RECORDS = (
    '{\n"a": 1,\n"b": [2, 3],\n"c": {"d": 4},\n"e": [[5]],\n"f": {"g": {}},\n"h": "i"\n}'
)
LONG = "    value = value + 1\n"

PAIRS: dict[str, tuple[str, str]] = {
    "amount of content": (PROSE * 3, "A short note."),
    "line repetition": (PROSE, "the same line\n" * 8),
    "information density": (PROSE, "the same line\n" * 40),
    "symbol density": (PROSE, "}{)(*&^%$#@! " * 10),
    "line length": (lines("a line of moderate length {}\n", 9), ("long words " * 60 + "\n") * 4),
    "visual spacing": (lines("def f{0}():\n    return {0}\n\n", 5), lines("x{0} = {0}\n", 20)),
    "line shape variety": (PROSE, lines("row {} of the table\n", 20)),
    "indentation consistency": (
        function("    if value:\n        value = 1\n        value = 2\n"),
        function("   \n     \n").replace("    return", "   value = 3;  return")
        + "def other(value):\n   if value:\n     value = 1\n   return value\n",
    ),
    "indentation depth": (DOCUMENTED, BARE.replace("\n", "\n        ")),
    "use of figures": (lines("row {0} has {0}\n", 20), TALK * 3),
    "vocabulary richness": (PROSE, "the same words again and " * 20),
    "word length": ("considerable international organisations " * 10, "a be it is on by so " * 10),
    "record regularity": (RECORDS, UNLIKE_RECORDS),
    "line evenness": (PROSE, lines("x\n", 10) + "long words " * 50),
    "syntax validity": (DOCUMENTED, DOCUMENTED.replace("return content[:limit]", "return (([")),
    "docstring coverage": (DOCUMENTED, BARE),
    "documentation depth": (DOCUMENTED, BARE),
    "nesting depth": (DOCUMENTED, BARE),
    "function length": (function(LONG), function(LONG * 60)),
    "parameter count": (DOCUMENTED, BARE),
    "type hints": (DOCUMENTED, BARE),
    "modularity": (lines("def f{0}():\n    return {0}\n", 9), function(LONG * 60)),
    "interface share": (DOCUMENTED, BARE.replace("def f", "def _f")),
    "function naming": (DOCUMENTED, BARE),
    "error handling": (DOCUMENTED, function(LONG * 9)),
    "error specificity": (DOCUMENTED, BARE),
    "control flow simplicity": (function(LONG * 9), BARE),
    "checks and assertions": (function("    assert value\n" * 6), function(LONG * 6)),
    "magic numbers": (DOCUMENTED, BARE),
    "dependency economy": (DOCUMENTED, lines("import module{}\n", 9) + "x = 1\n"),
    "import hygiene": (DOCUMENTED, BARE),
    "global state": (DOCUMENTED, "import os\n" + lines("state{0} = [{0}]\n", 9)),
    "placeholder code": (DOCUMENTED, BARE),
    "naming clarity": (DOCUMENTED, BARE),
    "name length": (DOCUMENTED, BARE),
    "naming consistency": (DOCUMENTED, lines("some_name{0} = otherName{0}\n", 9)),
    "identifier vocabulary": (DOCUMENTED, "x = x + x + x + x\n" * 20 + "y = x\n"),
    "comment density": ("# Two numbers.\nx = 1\n# Their sum.\ny = x + 2\n", BARE),
    "commented-out code": (
        "# Adds two numbers\nx = 1\n# Then shows them\ny = 2\n",
        "# x = add(1)\nx = 1\n# y = f(x)\ny = 2\n",
    ),
    "hand-written character": (DOCUMENTED, f"# Generated by a tool. Do not edit.\n{DOCUMENTED}"),
    "hard-coded text": (function(LONG * 9), "import os\n" + "text = 'a long literal'\n" * 9),
    "statement density": (DOCUMENTED, lines("{}\n", 3) + "import os\n" + "{},\n" * 20),
    "sentence length": (PROSE, "Go on. " * 20),
    "sentence variety": (PROSE, "We walk along the river. " * 9),
    "structure": (PROSE, TALK.replace(" and ", "\n") * 3),
    "phrase repetition": (PROSE, "the same words again and " * 9),
    "completeness": (PROSE, (TALK + "\n\n") * 3),
    "boilerplate": (PROSE, LEGAL),
    "link density": (PROSE, "see https://example.org/page for more words " * 9),
    "example presence": (PROSE, TALK * 3),
    "paragraph shape": (PROSE, "few words\n\n" * 20),
    "capitalisation": (PROSE, PROSE.lower()),
    "fluency": (PROSE, "table column value schema record " * 9),
    "specificity": (PROSE, TALK * 3),
    "readability": (PROSE, "considerable international organisations deliberate " * 30),
    "reasoning": (PROSE, "we walk and we sit and we eat and they talk " * 5),
    "assertiveness": (PROSE, "perhaps it might possibly seem that maybe we could walk " * 5),
    "technical vocabulary": (
        "call `read_table` with max_rows and then close() the file " * 4,
        TALK * 3,
    ),
    "plain punctuation": (TALK * 3, "yes, well; no: (so), and, but, then: go; " * 5),
    "question context": (pair(ASKED + PROSE, ANSWERED), pair("What is this?", ANSWERED)),
    "question specificity": (GOOD_QA, pair("What does it do and how is that done?", ANSWERED)),
    "answer substance": (GOOD_QA, POOR_QA),
    "answer proportion": (GOOD_QA, POOR_QA),
    "answer relevance": (GOOD_QA, pair(ASKED, "Something else entirely.")),
    "answer novelty": (GOOD_QA, POOR_QA),
    "parameter coverage": (GOOD_QA, POOR_QA),
    "result description": (GOOD_QA, POOR_QA),
    "worked example": (GOOD_QA, POOR_QA),
    "condition coverage": (GOOD_QA, POOR_QA),
    "type detail": (GOOD_QA, pair(ASKED, TALK)),
    "section completeness": (GOOD_QA, POOR_QA),
    "turn balance": (pair("one two three four", "five six seven eight"), pair(TALK * 3, "yes")),
    "opening summary": (GOOD_QA, pair(ASKED, TALK * 3)),
    "answer formatting": (GOOD_QA, POOR_QA),
    "plain wording": (GOOD_QA, POOR_QA),
}
HOSTILE = {
    "nothing": "",
    "spaces": " \t " * 500,
    "newlines": "\n" * 70_000,
    "NUL": "def f(x):\n    return '\0'\n" * 50,
    "lone surrogates": "def f(x):\n    return '\ud800'\n" * 50,
    "one long line": "a" * 1_000_000,
    "open brackets": "x = " + "(" * 100_000,
    "signs": "x = " + "-" * 60_000 + "1",
    "deep attributes": "import os\nx = a" + ".b" * 30_000,
    "deep blocks": "".join(" " * depth + "if x:\n" for depth in range(300)),
    "unclosed comments": "int x;\n" + "/*" * 30_000,
    "unclosed quotes": "import os\n" + '"""' * 20_001,
    "exclamations": "!" * 60_000 + "x",
    "marks": EXCERPT_MARK * 300,
    "empty turns": "Question:\n\nAnswer:\n" * 300,
    "digits": "x = " + "1" * 60_000,
}


def request(document: str, names: tuple[str, ...] = ()) -> Request:
    anchors = tuple(Anchor(slot, name, "What is meant.") for slot, name in enumerate(names))
    purpose: Purpose = "label" if anchors else "discover"
    return Request("key", purpose, "doc", "group_a", document, anchors, ())


def score(document: str, name: str) -> int:
    (point,) = label(document, [name])
    assert point is not None, f"{name} does not apply"
    return point.score


@pytest.mark.parametrize("name", PAIRS)
def test_a_better_text_scores_higher(name: str) -> None:
    better, worse = PAIRS[name]
    assert score(better, name) > score(worse, name)


def test_every_property_has_a_pair_that_tells_better_from_worse() -> None:
    assert set(PAIRS) == set(known_properties())


def test_at_least_45_properties_have_distinct_names_and_definitions() -> None:
    known = known_properties()
    assert len(known) >= 45
    assert len(set(known.values())) == len(known)


@pytest.mark.parametrize("definition", known_properties().values())
def test_definitions_are_one_plain_sentence(definition: str) -> None:
    assert re.fullmatch(r"(The|How|Whether) [^.:?!]*\.", definition)
    assert not re.search(r"https?|www|\byour?\b|\b(must|should|please|score|ignore)\b", definition)
    assert not re.search(r" [A-Z]", definition), "a proper name?"


@pytest.mark.parametrize("document", [DOCUMENTED, BARE, PROSE, HEADER, CONFIGURATION, GOOD_QA])
def test_discovery_names_fifteen_distinct_known_properties(document: str) -> None:
    names = [point.name for point in discover(document)]
    assert len(names) == len(set(names)) == 15
    assert set(names) <= set(known_properties())


def test_discovery_names_as_many_as_are_asked_for_most_telling_first() -> None:
    assert discover(PROSE, limit=4) == discover(PROSE, limit=15)[:4]


def test_discovery_names_what_is_unusual_about_the_document() -> None:
    assert "boilerplate" in [point.name for point in discover(LEGAL * 3, limit=8)]
    assert "vocabulary richness" in [point.name for point in discover("go on " * 99, limit=8)]
    assert "type hints" in [point.name for point in discover(DOCUMENTED, limit=8)]


def test_discovery_depends_on_the_document() -> None:
    code = {point.name for point in discover(BARE)}
    prose = {point.name for point in discover(PROSE)}
    dialogue = {point.name for point in discover(GOOD_QA)}
    assert len(code & prose) <= 5
    assert len(code & dialogue) <= 5


@pytest.mark.parametrize("document", [DOCUMENTED, PROSE, HEADER, MINIFIED, CONFIGURATION, GOOD_QA])
def test_reasons_are_short_and_say_that_something_was_measured(document: str) -> None:
    for point in discover(document, limit=100):
        assert point.reason.startswith("Heuristic measurement: ")
        assert len(point.reason.split()) <= 25
        assert 0 <= point.score <= 10


def test_reasons_give_the_figures() -> None:
    assert label(DOCUMENTED, ["docstring coverage"]) == [
        Point("docstring coverage", 10, "Heuristic measurement: 2 of 2 definitions are documented.")
    ]


def test_asking_without_anchors_discovers() -> None:
    answer = asyncio.run(HeuristicJudge().ask(request(DOCUMENTED)))
    assert answer.outcome == "answered"
    assert json.loads(answer.raw_response or "") == {
        "document": "",
        "dimensions": [
            {"name": point.name, "score": point.score, "reason": point.reason}
            for point in discover(DOCUMENTED)
        ],
        "canary": 0,
    }


def test_asking_with_anchors_answers_every_slot_in_order() -> None:
    names = ("fluency", "docstring coverage", "amount of content")
    answer = asyncio.run(HeuristicJudge().ask(request(PROSE, names)))
    fluency, amount = score(PROSE, "fluency"), score(PROSE, "amount of content")
    answers = json.loads(answer.raw_response)["answers"]
    assert [(each["slot"], each["score"]) for each in answers] == [
        (0, fluency),
        (1, None),
        (2, amount),
    ]
    assert answers[1]["reason"] == (
        "Heuristic measurement: not made, the document offers too little of its kind."
    )


def test_unknown_anchors_are_all_named_with_the_nearest_known_one() -> None:
    asked = request(PROSE, ("docstring coverag", "fluency", "naming charity"))
    with pytest.raises(JudgeError) as raised:
        asyncio.run(HeuristicJudge().ask(asked))
    assert str(raised.value) == (
        "rubric: the heuristic judge cannot measure 'docstring coverag'; "
        "the nearest it can is 'docstring coverage'\n"
        "rubric: the heuristic judge cannot measure 'naming charity'; "
        "the nearest it can is 'naming clarity'"
    )


@pytest.mark.parametrize("document", [DOCUMENTED, PROSE, HEADER, GOOD_QA])
def test_the_same_document_gets_the_same_answer(document: str) -> None:
    judge = HeuristicJudge()
    first, second = (asyncio.run(judge.ask(request(document))) for _ in range(2))
    assert first.raw_response == second.raw_response


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_no_text_makes_it_raise(document: str) -> None:
    names = list(known_properties())
    assert len(label(document, names)) == len(names)
    json.dumps([vars(point) for point in discover(document)]).encode()


@pytest.mark.filterwarnings("error")
def test_code_that_python_warns_of_is_valid_and_the_warning_is_not_passed_on() -> None:
    assert score("import os\nx = '\\d'\n", "syntax validity") == 10


def test_windows_cut_inside_statements_still_parse() -> None:
    methods = lines("    def step_{0}(self):\n        return {0}\n\n", 120)
    whole = f'"""Steps."""\n\n\nclass Steps:\n    """Takes steps."""\n\n{methods}'
    excerpt = EXCERPT_MARK.join((whole[:1500], whole[2007:3503], whole[-1511:]))
    assert score(excerpt, "syntax validity") >= 8
    assert score(excerpt, "modularity") == score(whole, "modularity")


def test_the_mark_between_windows_is_not_measured() -> None:
    shown = EXCERPT_MARK.join((TALK, TALK))
    assert label(shown, ["amount of content"]) == label(f"{TALK}\n{TALK}", ["amount of content"])


@pytest.mark.parametrize("document", [HEADER, MINIFIED])
def test_code_that_is_not_python_is_measured_as_code(document: str) -> None:
    names = ["syntax validity", "function length", "modularity", "naming clarity", "magic numbers"]
    assert None not in label(document * 3, names)

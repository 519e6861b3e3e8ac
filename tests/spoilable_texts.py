"""Texts of every kind that can be spoilt in every way, long enough and unlike one another."""

import json
from random import Random

from mira_spark.corpus.text_kinds import TextKind
from tests.hostile_documents import WORDS


def _sentence(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(8, 14))).capitalize() + "."


def _prose(random: Random) -> str:
    paragraphs = (" ".join(_sentence(random) for _ in range(4)) for _ in range(4))
    return "\n\n".join(paragraphs) + "\n"


def _code(random: Random) -> str:
    names = random.sample(WORDS, 8)
    functions = (
        f'def {name}_{other}({other}, {third}=(1, 2)):\n    """Give the {name}."""\n'
        f"    {third}[{other}] = {name}({third}, [{other}])\n    return {third}\n"
        for name, other, third in (random.sample(names, 3) for _ in range(5))
    )
    return "\n\n".join(functions)


def _question_answer(random: Random) -> str:
    asked = " ".join(random.choices(WORDS, k=12))
    answer = " ".join(_sentence(random) for _ in range(6))
    return f"Question: what is {asked}?\n\nAnswer: {answer}"


def _dialogue(random: Random) -> str:
    speakers = random.sample(["Ann", "Bob", "User", "Assistant"], 2)
    return "\n".join(f"{speakers[turn % 2]}: {_sentence(random)}" for turn in range(10))


def _table(random: Random) -> str:
    rows = ((random.choice(WORDS), *random.sample(range(9_999), 4)) for _ in range(20))
    return "\n".join(",".join(map(str, row)) for row in rows) + "\n"


def _json(random: Random) -> str:
    rows = [{"id": n, "name": random.choice(WORDS), "at": [random.random()]} for n in range(9)]
    return json.dumps(rows, indent=1)


TEXTS: dict[TextKind, list[str]] = {
    kind: [make(Random(seed)) for seed in range(12)]
    for kind, make in (
        ("prose", _prose),
        ("code", _code),
        ("question_answer", _question_answer),
        ("dialogue", _dialogue),
    )
}
TEXTS["data"] = [make(Random(seed)) for seed in range(6) for make in (_table, _json)]
"""Twelve of each kind, the same in every run."""

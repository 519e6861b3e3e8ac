"""Texts of every kind that the tests of the heuristic judge measure."""

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
        q = undefined[12]
    except:
        pass  # TODO: placeholder
"""
PROSE = """# The water cycle

Water rises from the sea when the sun warms it, because heat turns it into vapour. The vapour
cools as it climbs, so it gathers into clouds that the wind carries over the land.

Rain falls where the clouds meet cold air. It runs through the soil, fills the rivers and comes
back to the sea, unless a lake or a glacier holds it for a while.

- Evaporation (a slow process) lifts about 500 cubic kilometres a day.
- Condensation gives back the heat (at another place).

For example, a puddle (if it is small) dries within an hour on a warm day.
"""
HEADER = """#include <stdio.h>
/* Adds two numbers. */
int add_numbers(int left, int right);
int sum_of_list(const int *values, int count) {
    int total = 0;
    for (int place = 0; place < count; place++) {
        total += values[place];
    }
    return total;
}
"""
CONFIGURATION = '{\n  "services": [\n' + "".join(
    f'    {{\n      "name": "worker",\n      "port": {port},\n      "secure": true\n    }},\n'
    for port in range(8000, 8012)
) + '    {"name": "last", "port": 1, "secure": false}\n  ]\n}\n'  # fmt: skip
ASKED = "What does the function `scale_values` do?\ndef scale_values(values, factor=2.0, offset=0):"
ANSWERED = """Scale the values by a factor. Each of the values is multiplied by it.

values : list of float
    The numbers to scale; must not be empty, otherwise an error is raised.
factor : float, optional
    What each value is multiplied by when it is given.
offset : int
    Added to the result.
"""


def pair(question: str, answer: str) -> str:
    return f"Question: {question}\n\nAnswer: {answer}"


def lines(template: str, count: int) -> str:
    return "".join(template.format(at) for at in range(count))


DIALOGUE = pair(ASKED, ANSWERED)
OF_EVERY_KIND = {
    "python": DOCUMENTED, "code": HEADER, "data": CONFIGURATION, "prose": PROSE,
    "dialogue": DIALOGUE,
}  # fmt: skip

"""A text shows of what kind it is."""

import pytest

from mira_spark.corpus.text_kinds import TextKind, kind_of_text
from tests.spoilable_texts import TEXTS


@pytest.mark.parametrize("kind", TEXTS)
def test_each_kind_is_told_by_its_signs(kind: TextKind) -> None:
    assert {kind_of_text(text) for text in TEXTS[kind]} == {kind}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "prose"),
        ("\n \n", "prose"),
        ("Note: this is one remark.\nIt goes on.\nNote: a second one.\n", "prose"),
        ("Name: a b\nLicense: MIT or so\nSummary: words of it\nAuthor: Ann B.\n", "prose"),
        ("Needs: a b\nNeeds: c d\nNeeds: e f\nTopic: g h\nTopic: i j\n", "prose"),
        ("What is it? Answer: nobody knows.", "prose"),
        ("- first, an item\n- second, an item\n* third\n# a heading\nplain words here.", "prose"),
        ("e=>{var t=n(1);return r.d(t,{a:()=>o}),t},(()=>{var e=[];for(;;)f(e)})(),x=1", "code"),
        (
            "/*\n" + " * Words of a licence that goes on and on.\n" * 9 + " */\nint f(void);\n",
            "code",
        ),
        ("1.5 2.5 3.25\n4.125 5 6.5\n7 8 9.75\n", "data"),
        ('{"a": 1}\n{"a": 2}\n', "data"),
        ("@@@ user\nQ: what is it?\nA: def f(x): return x\n", "dialogue"),
    ],
)
def test_what_looks_like_another_kind(text: str, kind: TextKind) -> None:
    assert kind_of_text(text) == kind

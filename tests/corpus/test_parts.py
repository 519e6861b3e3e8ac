"""The parts of a document that thinks before it answers, as a judge is shown them."""

import pytest

from mira_spark.corpus.parts import parts, with_marks

TEXT = "What is 2 + 2?\n<think>\nTwo and two.\n</think>\n\nFour."


def test_what_stands_before_in_and_after_a_thought_are_parts() -> None:
    assert parts(TEXT) == {
        "question": "What is 2 + 2?",
        "thinking": "Two and two.",
        "answer": "Four.",
    }


@pytest.mark.parametrize("text", ["", "No thought.", "a </think> b", "if x <think_more> y"])
def test_a_text_without_a_thought_has_no_parts_and_is_shown_as_it_is(text: str) -> None:
    assert parts(text) == {}
    assert with_marks(text) == text


def test_a_thought_that_is_cut_off_goes_to_the_end() -> None:
    assert parts("<Thinking>Two and") == {"thinking": "Two and"}


def test_each_part_is_shown_under_its_name() -> None:
    assert with_marks(TEXT) == (
        "[... part: question ...]\nWhat is 2 + 2?\n[... part: thinking ...]\nTwo and two.\n"
        "[... part: answer ...]\nFour."
    )


def test_only_the_first_thought_is_a_part() -> None:
    assert parts("<think>a</think>b<think>c</think>")["answer"] == "b<think>c</think>"

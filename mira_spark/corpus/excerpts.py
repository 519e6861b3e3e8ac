"""Documents too long to be read whole: their begin, middle and end."""

from mira_spark.corpus.conversation_text import TURN_MARK, is_conversation

EXCERPT_MARK = "\n\n[... text left out ...]\n\n"
CHARACTERS_PER_TOKEN = 4
"""What a token is taken for, where none is counted."""
TURN_BREAK = f"\n{TURN_MARK}"
"""What stands before every turn of a conversation but the first, and nowhere else."""


def excerpt(text: str, window_tokens: int) -> str:
    """What a judge sees of `text`: all of it, or its begin, middle and end of `window_tokens` each.

    A token is taken as four characters; the windows are joined by `EXCERPT_MARK`. The same cut is
    made in SQL by `excerpt_column`, so that long texts never reach the driver.
    """
    return cut(text, window_tokens * CHARACTERS_PER_TOKEN)


def cut(text: str, size: int) -> str:
    """`text` where it has at most three times `size` characters, else its windows. Cutting an
    excerpt gives what cutting the whole text would, but for the middle of a conversation."""
    if len(text) <= 3 * size:
        return text
    return EXCERPT_MARK.join(text[start:end] for start, end in windows(text, size))


def windows(text: str, size: int) -> list[tuple[int, int]]:
    """Where the begin, the middle and the end of a text of more than three times `size` characters
    begin and end: so many characters each, or of a conversation the whole turns in them.

    A turn of more than `size` characters is cut as a text is. Where no whole turn lies in the
    middle, the one that begins there is taken.
    """
    last, middle = len(text) - size, (len(text) - size) // 2
    if not is_conversation(text):
        return [(0, size), (middle, middle + size), (last, len(text))]
    start, end = _turn_from(text, middle, size), _turn_until(text, middle + size, size)
    if start >= end:
        end = min(_next_turn(text, start + 1) - 1, start + size)
    begin, last = _turn_until(text, size, size), _turn_from(text, last, size)
    return [(0, begin), (start, end), (last, len(text))]


def _turn_from(text: str, place: int, size: int) -> int:
    """Where the first turn at or behind `place` begins; `place` where it lies in a long turn."""
    last, following = _last_turn(text, place), _next_turn(text, place)
    return place if following - 1 > max(place, last + size) else following


def _turn_until(text: str, place: int, size: int) -> int:
    """Where the last turn that ends at or before `place` ends; `place` where it lies in a long
    turn."""
    last, following = _last_turn(text, place + 1), _next_turn(text, place + 1)
    return place if following - 1 - last > size else last - 1


def _last_turn(text: str, place: int) -> int:
    """Where the last turn that begins at or before `place` begins."""
    return text.rfind(TURN_BREAK, 0, place + len(TURN_MARK)) + 1


def _next_turn(text: str, place: int) -> int:
    """Where the first turn that begins at or behind `place` begins; behind the last one, where
    another would."""
    found = text.find(TURN_BREAK, place - 1)
    return len(text) + 1 if found < 0 else found + 1

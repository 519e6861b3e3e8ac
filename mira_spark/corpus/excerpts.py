"""Documents too long to be read whole: their begin, middle and end."""

EXCERPT_MARK = "\n\n[... text left out ...]\n\n"
CHARACTERS_PER_TOKEN = 4
"""What a token is taken for, where none is counted."""


def excerpt(text: str, window_tokens: int) -> str:
    """What a judge sees of `text`: all of it, or its begin, middle and end of `window_tokens` each.

    A token is taken as four characters; the windows are joined by `EXCERPT_MARK`. The same cut is
    made in SQL by `sampling.excerpt_column`, so that long texts never reach the driver.
    """
    return cut(text, window_tokens * CHARACTERS_PER_TOKEN)


def cut(text: str, size: int) -> str:
    """`text` where it has at most three times `size` characters, else so many of its begin, middle
    and end. Cutting an excerpt gives what cutting the whole text would."""
    if len(text) <= 3 * size:
        return text
    middle = (len(text) - size) // 2
    return EXCERPT_MARK.join((text[:size], text[middle : middle + size], text[-size:]))

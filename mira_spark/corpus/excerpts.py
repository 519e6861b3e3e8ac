"""Documents too long to be read whole: their begin, middle and end."""

EXCERPT_MARK = "\n\n[... text left out ...]\n\n"
CHARACTERS_PER_TOKEN = 4
"""What a token is taken for, where none is counted."""


def excerpt(text: str, window_tokens: int) -> str:
    """What a judge sees of `text`: all of it, or its begin, middle and end of `window_tokens` each.

    A token is taken as four characters; the windows are joined by `EXCERPT_MARK`. The same cut is
    made in SQL by `sampling.excerpt_column`, so that long texts never reach the driver.
    """
    size = window_tokens * CHARACTERS_PER_TOKEN
    if len(text) <= 3 * size:
        return text
    middle = (len(text) - size) // 2
    return EXCERPT_MARK.join((text[:size], text[middle : middle + size], text[-size:]))

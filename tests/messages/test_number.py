"""How many messages are kept word for word."""

from tests.messages.test_of_files import FILES
from tests.messages.test_of_selections import SELECTIONS
from tests.messages.test_of_settings import SETTINGS
from tests.messages.test_of_the_judge import JUDGE


def test_more_than_a_hundred_messages_are_kept_word_for_word() -> None:
    words = {words for table in (FILES, SELECTIONS, JUDGE) for _, words in table.values()}
    assert len(words | set(SETTINGS.values())) > 140

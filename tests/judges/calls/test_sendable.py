"""Which documents may leave for a judge: those flagged sendable, of an allowed licence."""

from dataclasses import replace

import pytest

from mira_spark.judges.calls.sendable import NotSendable, check_sendable
from mira_spark.judges.protocol import Request

ASKED = Request("key", "label", "doc 1", "group_a", "text", (), ())


def test_a_document_that_is_not_sendable_stays() -> None:
    check_sendable(ASKED, [])
    with pytest.raises(NotSendable, match="doc 1"):
        check_sendable(replace(ASKED, sendable=False), [])
    with pytest.raises(NotSendable, match="doc 1"):
        check_sendable(replace(ASKED, sendable=False, license="mit"), ["mit"])


@pytest.mark.parametrize("license", [None, "", "gpl-3.0", "MIT", "mit "])
def test_a_licence_outside_the_list_stays(license: str | None) -> None:
    check_sendable(replace(ASKED, license=license), [])
    check_sendable(replace(ASKED, license="mit"), ["apache-2.0", "mit"])
    with pytest.raises(NotSendable, match="licence"):
        check_sendable(replace(ASKED, license=license), ["apache-2.0", "mit"])

"""What is said of documents without a score."""

import pytest

from mira_spark.errors import InputError
from mira_spark.selection.unscored import Unscored
from mira_spark.settings.selection import SelectionSettings

LEFT = Unscored(
    1_000,
    documents={"web": 1_200, "code": 1, "new": 3, "alone": 9} | {f"s{i}": 1 for i in range(5)},
    steps={"web": "score_documents", "code": "score_documents", "new": "group_sources",
           "alone": "distill_students"} | {f"s{i}": "score_documents" for i in range(5)},
    absent={"web": "score_documents", "alone": "distill_students", "group_c": "distill_students"},
)  # fmt: skip


def test_each_step_to_run_has_a_line_with_its_count() -> None:
    assert LEFT.lines() == [
        "9 not scored (alone): run mira distill-students",
        "3 not scored (new): run mira group-sources",
        "1,206 not scored (code, s0, s1, s2, s3 and 2 more): run mira score-documents",
    ]


def test_shares_of_what_has_no_score_are_refused_with_the_step_to_run() -> None:
    given = {"floors": {"web": "1%", "code": "1%"}, "caps": {"alone": "5%"},
             "shares": {"group_a": "0.5", "group_c": "0.5"}}  # fmt: skip
    with pytest.raises(InputError) as error:
        LEFT.check(SelectionSettings.model_validate(given))
    assert str(error.value).splitlines() == [
        "selection.floors.web: no document of web is scored: run mira score-documents first",
        "selection.caps.alone: no document of alone is scored: run mira distill-students first",
        "selection.shares.group_c: no document of group_c is scored: run mira "
        "distill-students first",
    ]
    LEFT.check(SelectionSettings())

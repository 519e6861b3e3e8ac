"""From answers without a rubric to a group's anchors: real points, each saying something else."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mira_spark.discovery import (
    Anchored,
    DiscoverySettings,
    Point,
    anchors,
    discovery_id,
    parse_points,
    rubric_id,
)

THREE = DiscoverySettings(dimensions=3)
TOPICS = tuple(
    f"{kind} {thing}"
    for kind, thing in zip(
        ("naming", "nesting", "typing", "testing", "citing", "licence", "grammar", "spelling",
         "novelty", "density", "balance", "fluency", "safety", "markup", "humour"),
        ("words", "levels", "hints", "cases", "sources", "header", "rules", "errors",
         "ideas", "facts", "views", "rhythm", "checks", "tags", "jokes"),
        strict=True,
    )
)  # fmt: skip


def point(name: str, reason: str, doc: str = "d1", source: str = "s", score: int = 5) -> Point:
    return Point(source, doc, 0, name, reason, score)


def words(topic: str, n: int) -> str:
    return " ".join(f"{topic}{i}" for i in range(n))


def fifteen_clusters() -> list[Point]:
    """Topic i is named in 18 - i documents, the points of all topics mixed."""
    found = [
        point(topic, f"{words(topic.split()[0], 6)} variant{doc}", f"d{doc}")
        for i, topic in enumerate(TOPICS)
        for doc in range(18 - i)
    ]
    return [found[i] for i in np.random.default_rng(3).permutation(len(found))]


def answer(*rows: Any) -> str:
    return json.dumps({"dimensions": rows})


def row(name: Any = "depth", score: Any = 5, reason: Any = "It is deep.") -> dict[str, Any]:
    return {"name": name, "score": score, "reason": reason}


def test_points_are_read_in_their_order_at_most_fifteen() -> None:
    rows = [row(f"name {i}", i % 11, f"reason {i}") for i in range(17)]
    assert parse_points(answer(*rows)) == [
        (f"name {i}", f"reason {i}", i % 11) for i in range(15)
    ]  # fmt: skip
    assert parse_points(answer()) == []


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(score=11), "'depth': score 11 is not an integer from 0 to 10"),
        (row(score=-1), "'depth': score -1 is not an integer from 0 to 10"),
        (row(score="7"), "'depth': score '7' is not an integer from 0 to 10"),
        (row(score=3.5), "'depth': score 3.5 is not an integer from 0 to 10"),
        (row(score=True), "'depth': score True is not an integer from 0 to 10"),
        (row(score=None), "'depth': score None is not an integer from 0 to 10"),
        (row(score=float("nan")), "'depth': score nan is not an integer from 0 to 10"),
        (row(name="x" * 99, score=11),
         f"'{'x' * 59}: score 11 is not an integer from 0 to 10"),
        (row(name=""), "a dimension without a name or reason: ''"),
        (row(name=" \n"), "a dimension without a name or reason: ' \\n'"),
        (row(name=None), "a dimension without a name or reason: None"),
        (row(name=5), "a dimension without a name or reason: 5"),
        (row(name=["a"]), "a dimension without a name or reason: ['a']"),
        (row(reason=None), "a dimension without a name or reason: 'depth'"),
        (row(reason=5), "a dimension without a name or reason: 'depth'"),
        ({"name": "a", "score": 5}, "not a list of dimensions: KeyError('reason')"),
        ({"name": "a", "reason": "b"}, "not a list of dimensions: KeyError('score')"),
        ({"score": 5, "reason": "b"}, "not a list of dimensions: KeyError('name')"),
        (None, "not a list of dimensions: TypeError(\"'NoneType' object is not subscriptable\")"),
        ("depth",
         "not a list of dimensions: TypeError(\"string indices must be integers, not 'str'\")"),
    ],
)  # fmt: skip
def test_one_dimension_that_is_not_as_asked_spoils_the_answer(bad: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_points(answer(row("first"), bad))
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "text",
    ["", "It is good.", "null", "5", "[]", "{}", '{"dimensions": null}', '{"dimensions": 5}',
     '{"dimensions": {"depth": 5}}', '{"dimension": []}', answer(row())[:-1],
     f"```json\n{answer(row())}\n```"],
)  # fmt: skip
def test_what_is_no_list_of_dimensions_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a list of dimensions: "):
        parse_points(text)


def test_an_answer_nested_without_end_is_refused_as_any_other() -> None:
    with pytest.raises(ValueError, match=r"^not a list of dimensions: "):
        parse_points("[" * 100_000)


def test_half_a_character_is_refused_before_it_is_embedded() -> None:
    with pytest.raises(ValueError, match="depth"):
        parse_points('{"dimensions": [{"name": "depth", "score": 5, "reason": "\\ud800"}]}')


def test_fifteen_clear_clusters_are_fifteen_anchors_by_size() -> None:
    found = anchors(fifteen_clusters(), DiscoverySettings())
    assert [a.anchor.name for a in found] == list(TOPICS)
    assert [a.cluster_size for a in found] == [18 - i for i in range(15)]


def test_an_anchor_is_a_real_point_and_the_most_typical_of_its_cluster() -> None:
    odd = point("depth", "alpha zeta eta theta", "d0")
    typical = [point("depth", "alpha beta gamma delta", f"d{i}") for i in range(1, 6)]
    others = [point("tone", words("t", 5)), point("length", words("l", 5))]
    found = anchors([odd, *typical, *others], THREE)
    assert found[0].anchor == typical[0]
    assert found[0].cluster_size == 6


def test_the_same_points_and_seed_are_the_same_anchors() -> None:
    points = fifteen_clusters()
    few = DiscoverySettings(dimensions=4, seed=7)
    assert anchors(points, few) == anchors(points, few)


def test_no_two_anchors_bear_one_name_whatever_its_case() -> None:
    points = [
        *(point("Clarity", words("alpha", 8), f"d{i}") for i in range(5)),
        *(point("CLARITY", words("beta", 8), f"d{i}") for i in range(4)),
        *(point("structure", words("gamma", 8), f"d{i}") for i in range(3)),
        *(point("depth", words("delta", 8), f"d{i}") for i in range(2)),
    ]
    found = anchors(points, THREE)
    assert {a.anchor.name.casefold() for a in found} == {"clarity", "structure", "depth"}
    assert len(found) == 3


def test_no_two_anchors_are_nearer_than_allowed() -> None:
    long = words("reason", 40)
    points = [
        *(point("length", long, f"d{i}") for i in range(5)),
        *(point("lengths", long, f"d{i}") for i in range(4)),
        *(point("depth", words("delta", 8), f"d{i}") for i in range(3)),
        *(point("tone", words("gamma", 8), f"d{i}") for i in range(2)),
    ]
    names = [a.anchor.name for a in anchors(points, THREE)]
    assert names[1:] == ["depth", "tone"]
    assert names[0] in {"length", "lengths"}
    four = DiscoverySettings(dimensions=4, same_above=1.0)
    apart = [a.anchor.name for a in anchors(points, four)]
    assert sorted(apart) == ["depth", "length", "lengths", "tone"]


def test_the_place_of_a_double_goes_to_a_finer_cluster() -> None:
    long = words("reason", 40)
    points = [
        *(point(name, long, f"d{i}") for name in ("a", "b", "c", "d", "e") for i in range(20)),
        point("depth", words("delta", 8)),
        point("tone", words("gamma", 8)),
    ]
    assert {a.anchor.name for a in anchors(points, THREE)} >= {"depth", "tone"}
    assert len(anchors(points, THREE)) == 3


def test_there_are_fewer_anchors_where_the_points_hold_no_more() -> None:
    points = [
        point(name, f"{words(name, 6)} {doc}", f"d{doc}")
        for name in ("depth", "tone", "length", "order")
        for doc in range(4)
    ]
    found = anchors(points, DiscoverySettings())
    assert [a.anchor.name for a in found] == ["depth", "length", "order", "tone"]


def test_one_name_everywhere_is_one_anchor() -> None:
    points = [point("depth", words(f"w{doc}x", 9), f"d{doc}") for doc in range(20)]
    (found,) = anchors(points, DiscoverySettings())
    assert (found.anchor.name, found.cluster_size, found.document_share) == ("depth", 20, 1.0)


def test_a_single_point_is_a_rubric_of_one() -> None:
    alone = point("depth", "It is deep.", "d1", "web", 7)
    assert anchors([alone], DiscoverySettings()) == [Anchored(alone, 1, 1.0, {"web": 1.0}, None)]


def test_shares_and_spread_say_how_common_a_dimension_is() -> None:
    """Five documents: two of `code`, three of `web`; one of `web` has the name of one of `code`."""
    depth, tone, order = (words(w, 8) for w in ("alpha", "beta", "gamma"))
    points = [
        point("depth", depth, "d1", "code", 2),
        point("depth", depth, "d2", "code", 4),
        point("depth", depth, "d1", "web", 9),
        replace(point("depth", depth, "d1", "web", 9), point=1),
        point("tone", tone, "d1", "web", 3),
        point("tone", tone, "d4", "web", 6),
        point("order", order, "d5", "web", 8),
    ]
    first, second, third = anchors(points, THREE)
    assert (first.anchor.name, first.cluster_size) == ("depth", 4)
    assert first.document_share == 3 / 5
    assert first.source_shares == {"code": 1.0, "web": 1 / 3}
    assert first.score_sd == pytest.approx((38 / 3) ** 0.5)
    assert (second.anchor.name, second.cluster_size) == ("tone", 2)
    assert second.document_share == 2 / 5
    assert second.source_shares == {"code": 0.0, "web": 2 / 3}
    assert second.score_sd == pytest.approx(4.5**0.5)
    assert third == Anchored(points[6], 1, 1 / 5, {"code": 0.0, "web": 1 / 3}, None)


def test_anchors_of_one_size_stand_by_name() -> None:
    points = [point(name, words(name, 8)) for name in ("tone", "depth", "order")]
    assert [a.anchor.name for a in anchors(points, THREE)] == ["depth", "order", "tone"]


def anchored(name: str = "depth", reason: str = "It is deep.", **changes: Any) -> Anchored:
    return replace(Anchored(point(name, reason), 3, 0.5, {"s": 0.5}, 1.0), **changes)


def test_one_byte_more_is_another_rubric() -> None:
    second = anchored("tone", "It is calm.")
    rubrics = [
        [anchored(), second],
        [second, anchored()],
        [anchored()],
        [],
        [anchored("Depth"), second],
        [anchored("depth "), second],
        [anchored(reason="It is deep"), second],
        [anchored("depth. It", "is deep."), second],
    ]
    assert len({rubric_id(rubric) for rubric in rubrics}) == len(rubrics)


def test_how_common_an_anchor_is_or_where_it_stood_is_not_part_of_the_rubric() -> None:
    other = anchored(cluster_size=9, document_share=0.1, source_shares={}, score_sd=None)
    moved = replace(other, anchor=point("depth", "It is deep.", "d9", "other", 1))
    assert rubric_id([anchored()]) == rubric_id([other]) == rubric_id([moved])


def test_a_discovery_is_another_with_each_thing_asked() -> None:
    asked = ("grouping", "group_a", "judge", "digest")
    others = [(*asked[:i], "other", *asked[i + 1 :]) for i in range(4)]
    others.append(("grouping", "group_", "ajudge", "digest"))
    assert discovery_id(*asked) == discovery_id(*asked)
    assert len({discovery_id(*a) for a in (asked, *others)}) == 6


@pytest.mark.parametrize(
    ("dimensions", "problem"),
    [
        (2, "Input should be greater than or equal to 3"),
        (16, "Input should be less than or equal to 15"),
    ],
)
def test_a_rubric_has_three_to_fifteen_dimensions(dimensions: int, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DiscoverySettings(dimensions=dimensions)

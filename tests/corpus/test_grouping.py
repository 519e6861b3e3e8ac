"""Sources into groups: by what their documents hold, the same every time."""

import weakref
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pytest

from mira_spark.corpus.embedding import embed, unit_vectors
from mira_spark.corpus.grouping import (
    Source,
    group,
    group_name,
    grouping_id,
    join_nearest,
    nearest,
    source_vector,
)
from mira_spark.settings.corpus import GroupingSettings

Vector = npt.NDArray[np.float32]
AXES = 12


def vector(**parts: float) -> Vector:
    """A unit vector from parts by axis, e.g. `a=3, c=1`."""
    found = np.zeros(AXES, np.float32)
    for axis, part in parts.items():
        found["abcdefghijkl".index(axis)] = part
    unit: Vector = (found / np.linalg.norm(found)).astype(np.float32)
    return unit


def source(name: str, tokens: int = 10, **parts: float) -> Source:
    return Source(name, 1, tokens, 1, vector(**parts))


# All share a large part `l`, as all texts share their commonest signs.
CODE = [source("code1", 10, l=2, a=2, d=0.2), source("code2", 20, l=2, a=2, e=0.2)]
WEB = [source("web1", 40, l=2, b=2, d=0.2), source("web2", 50, l=2, b=2, e=0.2)]
CHAT = [source("chat1", 5, l=2, c=2, d=0.2), source("chat2", 6, l=2, c=2, e=0.2)]
ALL = [*CODE, *WEB, *CHAT]
ODD = source("odd", 7, k=1)


def test_clear_clusters_are_found_and_named_by_their_tokens() -> None:
    assert group(ALL, GroupingSettings()) == {
        "web1": "group_a",
        "web2": "group_a",
        "code1": "group_b",
        "code2": "group_b",
        "chat1": "group_c",
        "chat2": "group_c",
    }


@pytest.mark.parametrize("groups", [None, 2])
def test_what_all_sources_share_does_not_decide(groups: int | None) -> None:
    """Most of each source is shared, in some more than in others; the rest tells them apart."""
    of_code = [source(f"code{part}", 9, l=10, a=part) for part in (3, 2, 6)]
    of_web = [source(f"web{part}", 1, l=10, b=part) for part in (4, 8, 1)]
    found = group([*of_code, *of_web], GroupingSettings(groups=groups))
    assert found == dict.fromkeys([s.name for s in of_code], "group_a") | dict.fromkeys(
        [s.name for s in of_web], "group_b"
    )


@pytest.mark.parametrize("seed", [0, 17])
def test_the_grouping_does_not_depend_on_the_order_of_the_sources(seed: int) -> None:
    chosen = GroupingSettings(seed=seed)
    assert group(ALL[::-1], chosen) == group(ALL, chosen) == group(ALL, chosen)


def test_groups_of_equal_tokens_stand_by_their_first_source() -> None:
    sources = [source("z", 5, l=1, a=2), source("y", 5, l=1, a=2, d=0.1)]
    sources += [source("x", 5, l=1, b=2), source("w", 5, l=1, b=2, d=0.1)]
    found = group(sources, GroupingSettings(groups=2, outlier_below=-1))
    assert found == {"w": "group_a", "x": "group_a", "y": "group_b", "z": "group_b"}


def test_one_source_is_one_group() -> None:
    assert group([ODD], GroupingSettings()) == {"odd": "group_a"}
    assert group([ODD], GroupingSettings(groups=3, outlier_below=-1)) == {"odd": "group_a"}


def test_two_sources_are_together_when_alike_and_apart_when_not() -> None:
    assert group(CODE, GroupingSettings()) == {"code1": "group_a", "code2": "group_a"}
    assert group([*CODE[:1], ODD], GroupingSettings()) == {"code1": "group_a", "odd": "group_b"}
    asked = group(CODE, GroupingSettings(groups=2))
    assert asked == {"code2": "group_a", "code1": "group_b"}


def test_a_source_like_no_other_stands_alone() -> None:
    found = group([*CODE, ODD, *WEB], GroupingSettings(groups=2))
    assert found == {
        "web1": "group_a", "web2": "group_a", "code1": "group_b", "code2": "group_b",
        "odd": "group_c",
    }  # fmt: skip


def test_how_unlike_an_outlier_is_can_be_set() -> None:
    """The cosine of web1 to code1 is about a half."""
    pair = [CODE[0], WEB[0]]
    assert set(group(pair, GroupingSettings(outlier_below=0.4)).values()) == {"group_a"}
    assert set(group(pair, GroupingSettings(outlier_below=0.6)).values()) == {"group_a", "group_b"}


def test_sources_that_are_all_outliers_stand_alone_each() -> None:
    sources = [source(axis, i + 1, **{axis: 1}) for i, axis in enumerate("abcd")]
    assert group(sources, GroupingSettings()) == {
        "d": "group_a", "c": "group_b", "b": "group_c", "a": "group_d",
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 2), (3, 3), (99, 6)])
def test_as_many_groups_as_asked_but_no_more_than_sources(asked: int, made: int) -> None:
    assert len(set(group(ALL, GroupingSettings(groups=asked)).values())) == made


def test_the_silhouette_never_chooses_more_than_eight_groups() -> None:
    sources = [
        source(f"{axis}{twin}", 1, l=1, **{axis: 2, twin: 0.1})
        for axis in "abcdefghi"
        for twin in "jk"
    ]
    assert len(set(group(sources, GroupingSettings()).values())) == 8


@pytest.mark.parametrize("copies", [3, 4])
def test_sources_that_are_all_the_same_are_one_group(copies: int) -> None:
    sources = [source(f"copy{i}", 1, l=2, a=1) for i in range(copies)]
    assert set(group(sources, GroupingSettings()).values()) == {"group_a"}


def test_a_mapping_overrides_the_clustering() -> None:
    mapping = {"code1": "group_a", "chat1": "mine", "unknown": "group_b"}
    found = group(ALL, GroupingSettings(mapping=mapping))
    assert found == {
        "web1": "group_a", "web2": "group_a", "code1": "group_a", "code2": "group_b",
        "chat1": "mine", "chat2": "group_c",
    }  # fmt: skip


def test_group_names_go_on_after_the_alphabet() -> None:
    assert [group_name(i) for i in (0, 1, 25, 26, 100)] == [
        "group_a", "group_b", "group_z", "group_26", "group_100",
    ]  # fmt: skip


@pytest.mark.parametrize("documents", [1, 200, 700])
def test_a_source_s_vector_is_the_unit_mean_of_its_documents(documents: int) -> None:
    texts = [
        f"def f{i % 7}(x):\n    return {i}" if i % 3 else f"Text {i}." for i in range(documents)
    ]
    count, found = source_vector(iter(texts))
    mean = unit_vectors(embed(texts).mean(axis=0, keepdims=True))[0]
    assert count == documents
    np.testing.assert_allclose(found, mean, atol=1e-6)
    if documents <= 256:
        assert found.tobytes() == mean.tobytes(), "to the last bit in one piece"


def test_a_source_is_embedded_as_its_texts_come() -> None:
    """Never more than a piece of the texts is alive, however many there are."""

    class Text(str):
        """A text that can be referred to weakly."""

    alive: weakref.WeakSet[Text] = weakref.WeakSet()
    most = 0

    def texts() -> Iterator[str]:
        nonlocal most
        for i in range(2_000):
            text = Text(f"text {i}")
            alive.add(text)
            most = max(most, len(alive))
            yield text

    assert source_vector(texts())[0] == 2_000
    assert most <= 2 * 256


GROUPED: Mapping[str, tuple[str, Vector]] = {
    "web": ("group_a", vector(b=1)),
    "code": ("group_b", vector(a=1)),
    "also code": ("group_c", vector(a=1)),
}


def test_a_new_source_joins_the_group_of_the_most_similar_one() -> None:
    assert join_nearest(source("new", b=2, a=1), GROUPED) == "group_a"
    assert join_nearest(source("new", k=1, b=-1), {"web": GROUPED["web"]}) == "group_a"


def test_a_new_source_as_near_to_two_joins_the_first_by_name() -> None:
    assert join_nearest(source("new", a=2, b=1), GROUPED) == "group_c"
    assert join_nearest(source("new", a=2, b=1), dict(reversed(GROUPED.items()))) == "group_c"


def test_the_nearest_is_another_source_and_its_cosine() -> None:
    vectors = np.stack([vector(a=1), vector(a=3, b=4), vector(c=1)])
    places, cosines = nearest(vectors, [0, 1, 2])
    assert places.tolist() == [1, 0, 0]
    assert cosines.tolist() == pytest.approx([0.6, 0.6, 0])
    assert nearest(vectors, [1])[0].tolist() == [0]


def test_the_nearest_of_many_sources_are_those_of_a_plain_search() -> None:
    vectors = unit_vectors(np.random.default_rng(0).normal(size=(2_500, AXES)).astype(np.float32))
    places, cosines = nearest(vectors, range(2_500))
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1)
    assert places.tolist() == alike.argmax(axis=1).tolist()
    np.testing.assert_allclose(cosines, alike.max(axis=1), atol=1e-6)


def test_a_single_source_has_no_nearest() -> None:
    assert nearest(np.stack([vector(a=1)]), [0])[1].tolist() == [-1]


def test_a_grouping_is_another_with_every_setting() -> None:
    changes: list[dict[str, object]] = [
        {}, {"seed": 1}, {"groups": 2}, {"outlier_below": 0.2}, {"documents_per_source": 100},
        {"mapping": {"a": "group_a"}},
    ]  # fmt: skip
    ids = {grouping_id(GroupingSettings.model_validate(change)) for change in changes}
    assert len(ids) == len(changes)
    assert grouping_id(GroupingSettings()) == grouping_id(GroupingSettings(seed=0))


def test_another_embedder_is_another_grouping_and_hashed_words_are_as_they_always_were() -> None:
    assert grouping_id(GroupingSettings()) == "471e6e605f30c0e4"
    others = {
        grouping_id(GroupingSettings(), each) for each in ("hashing", "encoder:a", "openai:b")
    }
    assert len(others) == 3

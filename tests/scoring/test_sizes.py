"""What `mira plan` multiplies: units as scoring cuts them, device-hours, executors, tables."""

import pytest
from hypothesis import given, strategies as st

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.scoring import sizes
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.units import Tally, Unit, cut_units, total
from mira_spark.settings.students import DistillationSettings, EncoderSettings, StudentKind
from mira_spark.students.rates import Rate

counts = st.integers(1, 10**6)
TOKENS = Rate("encoder", "", "device", 2_000, "tokens", "configured")
BYTES = Rate("linear", "", "device", 2_000, "bytes", "configured")
ENCODER = DistillationSettings(
    kind="encoder", encoder=EncoderSettings(model="m", max_tokens=512, frozen=False, epochs=3)
)


def unit(documents: int, tokens: int, *scored: int) -> Unit:
    return Unit(("web",), "g", 0, 3, Tally(documents, tokens), Tally(*scored), Scorer("", "", ""))


@given(counts, counts, st.integers(1, 6), st.integers(1, 10**5), st.integers(1, 24))
def test_units_of_a_supposed_corpus_are_those_that_scoring_would_cut_of_one_like_it(
    documents: int, tokens: int, sources: int, unit_tokens: int, buckets: int
) -> None:
    corpus = CorpusSize(documents * sources, tokens * sources, 4 * tokens * sources, sources)
    supposed = sizes.alike_units(corpus, unit_tokens, buckets)
    there = {
        (f"source {i}", bucket): Tally(
            documents * (bucket + 1) // buckets - documents * bucket // buckets,
            tokens * (bucket + 1) // buckets - tokens * bucket // buckets,
        )
        for i in range(sources)
        for bucket in range(buckets)
    }
    there = {place: tally for place, tally in there.items() if tally.documents}
    groups = {source: "g" for source, _ in there}
    whole = cut_units(there, {}, groups, {"g": Scorer("", "", "")}, unit_tokens)
    assert [u.there for u in supposed] == [u.there for u in whole]
    assert total(u.there for u in supposed) == total(there.values())


@given(counts, st.integers(1, 50), st.sampled_from([TOKENS, BYTES]), st.floats(0.5, 8))
def test_device_hours_grow_as_the_tokens_do(
    tokens: int, times: int, rate: Rate, bytes_per_token: float
) -> None:
    once = sizes.device_hours(tokens, rate, bytes_per_token)
    assert sizes.device_hours(times * tokens, rate, bytes_per_token) == pytest.approx(times * once)
    assert once > 0


def test_device_hours_are_those_of_the_rate() -> None:
    assert sizes.device_hours(7_200_000, TOKENS, 4) == 1
    assert sizes.device_hours(7_200_000, BYTES, 4) == 4


@given(st.floats(0.001, 1e6), st.floats(0.1, 1000), st.integers(1, 16))
def test_executors_are_the_fewest_that_are_done_in_time(
    hours: float, within: float, devices: int
) -> None:
    found = sizes.executors(hours, within, devices)
    assert found * devices * within >= hours * (1 - 1e-9)
    assert found == 1 or (found - 1) * devices * within < hours * (1 + 1e-9)


@pytest.mark.parametrize(
    ("kind", "read"), [("linear", 5_000), ("encoder", 1_024), ("served", 4_000)]
)
def test_of_a_document_no_more_is_counted_than_its_student_reads(
    kind: StudentKind, read: int
) -> None:
    found = sizes.scoring_size(kind, [unit(2, 4_700), unit(4, 300)], ENCODER)
    assert found == sizes.ScoringSize(kind, 6, read if kind == "linear" else read + 300)


def test_what_is_scored_is_not_counted() -> None:
    half = unit(10, 1_000, 4, 300)
    assert sizes.scoring_size("linear", [half], ENCODER) == ("linear", 6, 700)


def test_a_student_learns_from_labels_and_spoilt_copies_each_epoch() -> None:
    frozen = ENCODER.model_copy(
        update={"encoder": ENCODER.encoder.model_copy(update={"frozen": True})}
    )
    linear = DistillationSettings()
    served = linear.model_copy(update={"kind": "served"})

    def read(settings: DistillationSettings) -> tuple[int, int]:
        found = sizes.training_size("g", 1_000, 0.1, 2_000.0, settings)
        return found.labels, found.tokens

    assert read(linear) == (1_100, 2_200_000)
    assert read(frozen) == (1_100, 1_100 * 512)
    assert read(ENCODER) == (1_100, 3 * 1_100 * 512)
    assert read(served) == (1_100, 0)


def test_no_more_devices_can_work_than_two_units_have_tasks() -> None:
    assert sizes.most_tasks(10**9, 5, 4) == 2 * 6  # 800 MB a unit, 128 MiB a task
    assert sizes.most_tasks(10**9, 1, 4) == 30
    assert sizes.most_tasks(10, 3, 4) == 2


def test_tables_grow_by_a_row_for_each_document_and_for_what_a_histogram_can_have() -> None:
    rows = {size.table: size for size in sizes.table_sizes(10**9, 550_000, 10**8, 5e11)}
    assert rows["scores"].rows == 10**9
    assert rows["score_histogram"].rows == 550_000
    assert rows["selected_documents"].rows == 10**8
    for table, size in rows.items():
        texts = 5e11 if table == "selected_documents" else 0
        assert size.bytes == size.rows * sizes.ROW_BYTES[table] + texts
        assert sizes.ROW_BYTES[table] > 1
    few = {size.table: size.rows for size in sizes.table_sizes(10, 550_000, 0, 0)}
    assert few == {"scores": 10, "score_histogram": 10, "selected_documents": 0}

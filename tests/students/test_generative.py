"""A generative student learns to write scores, decodes them alone or in company, and its answers
are read whatever they are. The model and its tokenizer are made here; nothing is fetched."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mira_spark.distillation import generative as generative_training, generative_examples
from mira_spark.distillation.generative import train_generative
from mira_spark.errors import ArtefactError, InputError
from mira_spark.settings.students import GenerativeSettings
from mira_spark.students import answers, architecture, generative
from mira_spark.students.answers import parse, written
from mira_spark.students.configs import GenerativeConfig
from mira_spark.students.generative import GenerativeStudent, assembled, explained, restored
from mira_spark.students.integer_tokens import probes
from mira_spark.students.protocol import score
from tests import staging

ANCHORS = ("clarity", "depth", "use of numbers", "order", "tone: calm")
WORDS = ("clear", "deep", "seven", "first", "quiet")
Row = tuple[str | None, list[int | None], list[str], str]


def document(counts: Sequence[int]) -> str:
    return " ".join(f"{word} x{count}" for word, count in zip(WORDS, counts, strict=True))


def labelled(count: int) -> list[Row]:
    drawn = np.random.default_rng(7).integers(0, 11, (count, len(WORDS))).tolist()
    return [
        (
            document(c),
            c,
            [f"{word} {n} times" for word, n in zip(WORDS, c, strict=True)],
            staging.TRAIN,
        )
        for c in drawn
    ]


ROWS = labelled(50)
TEXTS = pa.array([row[0] for row in ROWS])
JUDGED = np.array([row[1] for row in ROWS], np.float32)


def trained_tokenizer(texts: Sequence[str], digits: bool) -> Tokenizer:
    """Byte-level BPE; with `digits` every digit is a token, so that 10 begins as 1 does."""
    tokenizer = Tokenizer(models.BPE())
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alone = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([alone, bytes_of]) if digits else bytes_of
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def causal(vocabulary: int, seed: int = 0, **changes: object) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 4, "max_position_embeddings": 1024}  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **(sizes | changes)))


def saved(folder: Path, model: nn.Module, tokenizer: Tokenizer) -> str:
    model.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def staged(
    folder: Path, rows: Sequence[Row], told: bool = True, sources: Sequence[str] | None = None
) -> Path:
    """In two files, of one source unless `sources` says otherwise; `told`: with reasons."""
    of_rows = sources or ["a source"] * len(rows)
    whole: list[staging.Row] = [
        (str(i), source, text, scores, split)
        for i, (source, (text, scores, _, split)) in enumerate(zip(of_rows, rows, strict=True))
    ]
    reasons = {str(i): row[2] for i, row in enumerate(rows)} if told else None
    return staging.staged(folder, whole, -(-len(rows) // 2), reasons=reasons)


def trained(
    shards: Path, settings: GenerativeSettings, anchors: Sequence[str] = ANCHORS
) -> GenerativeStudent:
    with TemporaryDirectory() as checkpoints:
        return train_generative(staging.learnt(shards), anchors, settings, Path(checkpoints))


def settings_for(model: str, **changes: object) -> GenerativeSettings:
    given = {"model": model, "max_tokens": 64, "epochs": 1, "learning_rate": 5e-3,
             "tokens_per_step": 1_000, "seed": 1}  # fmt: skip
    return GenerativeSettings.model_validate(given | changes)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    fixed = [answers.instruction(ANCHORS) + answers.ASK] * 40  # few tokens: a test has no time
    return trained_tokenizer(
        [written(row[1], row[2], ANCHORS) + str(row[0]) for row in ROWS] + fixed, True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> str:
    home = tmp_path_factory.mktemp("model")
    return saved(home, causal(tokenizer.get_vocab_size()), tokenizer)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory, folder: str) -> GenerativeStudent:
    shards = staged(tmp_path_factory.mktemp("labels") / "shards", ROWS)
    return trained(shards, settings_for(folder, epochs=40))


def untrained(tokenizer: Tokenizer, model: nn.Module, slots: int = 5) -> GenerativeStudent:
    config = GenerativeConfig(
        kind="generative",
        slots=slots,
        anchors=ANCHORS[:slots],
        max_tokens=64,
        architecture=architecture.described(model),
    )
    return assembled(config, model, tokenizer.to_str().encode())


def test_fifty_labelled_documents_are_learnt(student: GenerativeStudent) -> None:
    scores = score(student, TEXTS)
    assert scores.dtype == np.float32
    assert np.abs(scores - JUDGED).mean() < 1.0
    assert scores.min() >= 0
    assert scores.max() <= 10


def test_it_explains_what_it_was_taught_to_explain(student: GenerativeStudent) -> None:
    found = explained(student, TEXTS.slice(0, 8))
    said = [reason for _, reasons in found for reason in reasons]
    taught = [reason for row in ROWS[:8] for reason in row[2]]
    scores = np.array([scores for scores, _ in found], float)
    assert np.abs(scores - JUDGED[:8]).mean() < 1.5
    words = [(a.split()[0], b.split()[0]) for a, b in zip(said, taught, strict=True) if a]
    assert len(words) == len(taught)
    assert np.mean([a == b for a, b in words]) > 0.9


def test_an_explanation_is_bounded_and_read_as_far_as_it_goes(student: GenerativeStudent) -> None:
    ((scores, reasons),) = explained(student, TEXTS.slice(0, 1), new_tokens=3)
    assert scores[0] is not None
    assert scores[-1] is None
    assert reasons == [""] * 5


STRANGE = pa.array(
    ["", None, "<|end|>", "7,7,7,7,7\n" * 3, "\N{SNOWMAN} \x00", "deep x3 " * 40_000, " ", "a\n"]
)


def test_a_score_depends_on_its_own_text_alone(student: GenerativeStudent) -> None:
    texts = pa.concat_arrays([STRANGE, TEXTS.slice(0, 12)])
    together = score(student, texts)
    alone = np.concatenate([score(student, texts.slice(i, 1)) for i in range(len(texts))])
    backwards = score(student, texts.take(pa.array(range(len(texts) - 1, -1, -1))))[::-1]
    np.testing.assert_allclose(together, alone, atol=2e-4)
    np.testing.assert_allclose(together, backwards, atol=2e-4)
    assert np.isfinite(together).all()


def test_every_text_comes_once_and_no_batch_is_over_its_tokens(student: GenerativeStudent) -> None:
    texts = pa.concat_arrays([TEXTS, STRANGE])
    found = list(student.encode(texts))
    assert sorted(np.concatenate([batch.rows for batch in found]).tolist()) == list(range(58))
    sizes = [batch.inputs["ids"].size for batch in found]
    assert len(found) > 1
    assert max(sizes) <= generative._BATCH_TOKENS["cpu"]
    assert list(student.encode(pa.array([], pa.string()))) == []


def test_null_is_empty_and_bytes_are_text(student: GenerativeStudent) -> None:
    read = score(student, pa.array(["", None]))
    np.testing.assert_allclose(read[0], read[1], atol=1e-5)
    raw = pa.array([text.encode() for text in TEXTS.to_pylist()[:3]] + [b"\xff"])
    np.testing.assert_allclose(score(student, raw)[:3], score(student, TEXTS[:3]), atol=2e-4)
    with pytest.raises(TypeError, match="texts are int64, expected string"):
        list(student.encode(pa.array([1])))


def test_of_a_long_text_begin_middle_and_end_are_shown(student: GenerativeStudent) -> None:
    text = "clear " * 5_000 + "seven " * 5_000 + "quiet " * 5_000
    (ids,) = student.reader.ids([text])
    decoded = student.reader.tokenizer.decode(ids.tolist(), skip_special_tokens=False)
    shown = decoded.removeprefix(answers.instruction(ANCHORS)).removesuffix(answers.ASK)
    begin, middle, end = shown.split(answers.WINDOW_MARK)
    assert set(begin.split()) == {"clear"}
    assert set(middle.split()) == {"seven"}
    assert set(end.split()) <= {"quiet", "iet", "et", "t", "uiet"}
    assert len(ids) <= student.reader.most


def test_a_document_cannot_spell_a_special_token(student: GenerativeStudent) -> None:
    assert 0 not in student.tokens("<|end|>")
    (ids,) = student.reader.ids(["<|end|>"])
    assert 0 not in ids


def by_hand(student: GenerativeStudent, text: str) -> list[float]:
    """The expected values without a cache, a batch or a tree: every integer's tokens walked, each
    step's likelihood among the tokens that lead to an integer."""
    (prompt,) = student.reader.ids([text])
    read, found = prompt.tolist(), []
    ends = [","] * (student.slots - 1) + ["\n"]
    for end in ends:
        ways = [student.tokens(f"{value}{end}") for value in range(11)]
        likelihood = []
        for way in ways:
            chance = 1.0
            for i, token in enumerate(way):
                allowed = sorted({w[i] for w in ways if w[:i] == way[:i] and len(w) > i})
                with torch.no_grad():
                    logits = student.model(torch.tensor([read + way[:i]])).logits[0, -1]
                chance *= float(logits[allowed].softmax(0)[allowed.index(token)])
            likelihood.append(chance)
        assert sum(likelihood) == pytest.approx(1, abs=1e-5)
        found.append(sum(value * chance for value, chance in enumerate(likelihood)))
        read += ways[int(np.argmax(likelihood))]
    return found


@pytest.mark.parametrize("digits", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_scores_are_the_expected_values_computed_by_hand(digits: bool, kind: str) -> None:
    tokenizer = trained_tokenizer(["10, 10\n 10,10,10, 5, 6\n 1,"] * 9, digits)
    assert (len(tokenizer.encode("10,").ids) == 3) == digits
    vocabulary = tokenizer.get_vocab_size()
    if kind == "llama":
        model: nn.Module = causal(vocabulary, initializer_range=0.3)
    else:
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=2,
                            initializer_range=0.3)  # fmt: skip
        model = GPT2LMHeadModel(config)
    student = untrained(tokenizer, model, 3)
    texts = ["a short one", "a longer one, 10 of 10", ""]
    expected = [by_hand(student, text) for text in texts]
    np.testing.assert_allclose(score(student, pa.array(texts)), expected, atol=2e-4)
    assert np.ptp(expected) > 0.1


def test_integers_that_begin_alike_are_told_apart_in_one_reading() -> None:
    # As Llama 2 writes them: a token before each, 10 begun as 1 is.
    ways = [(9, value, 50) for value in range(10)] + [(9, 1, 0, 50)]
    (probe,) = probes(ways)
    assert probe.tokens == (9, 1)
    first, second = probe.branches
    assert (first.prefix, first.children) == ((9,), tuple(range(10)))
    assert (second.prefix, second.children, second.values) == ((9, 1), (0, 50), (1, 10))
    assert second.which == (1, 0)


def test_every_branch_is_met_once_when_there_are_several() -> None:
    ways = [(1, 5), (1, 6), (2, 5), (2, 6, 7), (2, 6, 8), (3,)]
    found = probes(ways)
    met = [branch.prefix for probe in found for branch in probe.branches]
    assert sorted(met) == [(), (1,), (2,), (2, 6)]
    assert all(b.prefix == p.tokens[: len(b.prefix)] for p in found for b in p.branches)


def test_a_tokenizer_that_cannot_write_integers_is_refused() -> None:
    with pytest.raises(ValueError, match="the tokens of 1 begin with those of 0"):
        probes([(3,), (3,), (4,)])


def test_what_an_artefact_holds_makes_the_same_student(student: GenerativeStudent) -> None:
    tensors = student.tensors()
    assert {name: array.shape for name, array in tensors.items()} == generative.layout(
        student.config
    )
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}
    config = GenerativeConfig.model_validate_json(student.config.model_dump_json())
    again = restored(config, tensors, student.tokenizer)
    texts = TEXTS.slice(0, 5)
    np.testing.assert_array_equal(score(again, texts), score(student, texts))
    assert (again.kind, again.slots) == ("generative", 5)


def test_missing_labels_teach_nothing(tmp_path: Path, folder: str) -> None:
    """The same known scores, and whatever else for the missing ones: the same weights."""
    kept = [(t, [s[0], None, s[2], None, s[4]], r, split) for t, s, r, split in ROWS[:8]]
    other = [(t, s, [r[0], "another", r[2], "lie", r[4]], split) for t, s, r, split in kept]
    nothing: Row = ("no score at all", [None] * 5, ["why"] * 5, staging.TRAIN)
    held: Row = ("held out", [1] * 5, ["why"] * 5, staging.HELD_OUT)
    first = trained(staged(tmp_path / "a", kept), settings_for(folder))
    rows = [nothing, *kept, held]
    second = trained(staged(tmp_path / "b", rows), settings_for(folder))
    assert changed(first, second) == 0
    third = trained(staged(tmp_path / "c", other), settings_for(folder))
    assert changed(first, third) == 0
    known = [(t, [3, *s[1:]], r, split) for t, s, r, split in kept]
    fourth = trained(staged(tmp_path / "d", known), settings_for(folder))
    assert changed(first, fourth) > 0


def changed(one: GenerativeStudent, other: GenerativeStudent) -> float:
    found = other.tensors()
    return max(float(np.abs(w - found[name]).max()) for name, w in one.tensors().items())


def test_a_seed_gives_the_same_weights_and_another_others(tmp_path: Path, folder: str) -> None:
    shards = staged(tmp_path / "shards", ROWS[:12], told=False)
    plan = settings_for(folder, tokens_per_step=500)
    first, again = (trained(shards, plan) for _ in range(2))
    other = trained(shards, plan.model_copy(update={"seed": 2}))
    assert changed(first, again) == 0
    assert changed(first, other) > 0


class Interrupted(Exception):
    pass


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, folder: str) -> None:
    shards = staged(tmp_path / "shards", ROWS[:12])
    plan = settings_for(folder, epochs=3)
    whole = trained(shards, plan)

    def stop(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_generative(staging.learnt(shards), ANCHORS, plan, tmp_path, stop)
    seen: list[int] = []
    others = staged(tmp_path / "others", [*ROWS[:11], ROWS[12]])
    train_generative(
        staging.learnt(others), ANCHORS, plan, tmp_path, lambda epoch, _: seen.append(epoch)
    )
    assert seen == [1, 2, 3], "other labels begin anew"
    seen.clear()
    resumed = train_generative(
        staging.learnt(shards), ANCHORS, plan, tmp_path, lambda n, _: seen.append(n)
    )
    assert seen == [3]
    assert changed(whole, resumed) == 0
    assert list(shards.iterdir()) == sorted(shards.glob("*.parquet")), "nothing is left of it"


def test_a_large_source_does_not_drown_a_small_one(tmp_path: Path, folder: str) -> None:
    """One text, which nine rows of a source judge 2 and one of another 8: it is a tenth of the
    rows, and by the root of their numbers a fourth of what is learnt."""
    rows: list[Row] = [("clear x1", [8 if i == 0 else 2] * 5, [], staging.TRAIN) for i in range(10)]
    shards = staged(tmp_path / "shards", rows, False, ["small"] + ["large"] * 9)
    student = trained(shards, settings_for(folder, epochs=40, tokens_per_step=1 << 20))
    assert score(student, pa.array(["clear x1"]))[0, 0] == pytest.approx(2 + 6 / 4, abs=0.3)


def test_memory_is_flat_in_the_labels(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Of ten times the rows, each of over a hundred tokens, less is held than a byte a token."""
    student = untrained(tokenizer, causal(tokenizer.get_vocab_size()))

    def peak(count: int) -> int:
        labels = staged(tmp_path / str(count), labelled(count))
        tracemalloc.start()
        examples = generative_examples.store_examples(student, staging.learnt(labels), labels)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(examples) == count
        assert len(examples.tokens) > 100 * count
        return most

    peak(64)  # what is only made once
    small, large = peak(200), peak(2_000)
    assert large - small < 100 * 1_800


def test_an_epoch_has_every_row_once_in_an_order_of_its_own(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    student = untrained(tokenizer, causal(tokenizer.get_vocab_size()))
    examples = generative_examples.store_examples(
        student, staging.learnt(staged(tmp_path / "shards", ROWS)), tmp_path
    )
    lengths = np.diff(examples.starts)
    plan = settings_for("", tokens_per_step=1_000)
    orders = []
    for epoch in range(2):
        steps = list(generative_training._steps(examples, plan, epoch))
        assert all(lengths[rows].sum() <= 1_000 for rows in steps)
        orders.append([row for rows in steps for row in rows])
        assert sorted(orders[-1]) == list(range(len(ROWS)))
    assert orders[0] != orders[1]


def test_only_what_was_answered_is_learnt(tokenizer: Tokenizer) -> None:
    student = untrained(tokenizer, causal(tokenizer.get_vocab_size()), 3)
    (prompt,) = student.reader.ids(["a text"])
    example = generative_examples.example(student, prompt, [10, None, 3], ["so", "lost", ""])
    shown = student.reader.tokenizer.decode(example.tokens[len(prompt) :].tolist())
    assert shown == written([10, None, 3], ["so", "", ""], ANCHORS[:3])
    learnt = [student.tokens(piece) for piece in ("10,", "3\n", "0. clarity: so\n")]
    taught = example.tokens[example.parts > 0].tolist()
    assert taught == [token for piece in learnt for token in piece]
    assert (example.parts == 1).sum() == len(learnt[0]) + len(learnt[1])


def test_a_folder_without_tokenizer_or_model_is_named(tmp_path: Path, folder: str) -> None:
    shards = staged(tmp_path / "shards", ROWS[:4])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ArtefactError, match=r"empty/tokenizer\.json: is missing"):
        trained(shards, settings_for(str(empty)))
    (empty / "tokenizer.json").write_bytes((Path(folder) / "tokenizer.json").read_bytes())
    with pytest.raises(ArtefactError, match="empty: no model can be read"):
        trained(shards, settings_for(str(empty)))


def test_labels_that_teach_nothing_are_refused(tmp_path: Path, folder: str) -> None:
    held = [(t, s, r, staging.HELD_OUT) for t, s, r, _ in ROWS[:4]]
    with pytest.raises(InputError, match="there is no labelled row to train on"):
        trained(staged(tmp_path / "a", held), settings_for(folder))
    with pytest.raises(InputError, match=r"label rows have \[5\] scores, expected 4"):
        trained(staged(tmp_path / "b", ROWS[:4]), settings_for(folder), ANCHORS[:4])


def test_what_does_not_fit_together_is_refused(tokenizer: Tokenizer) -> None:
    size = tokenizer.get_vocab_size()
    with pytest.raises(ArtefactError, match=f"has a token {size - 1}, expected less than 300"):
        untrained(tokenizer, causal(300))
    with pytest.raises(ArtefactError, match=r"max_tokens is 64, expected at most -?[0-9]+: the "):
        untrained(tokenizer, causal(size, max_position_embeddings=128))
    student = untrained(tokenizer, causal(size))
    with pytest.raises(ArtefactError, match="anchors are 4, expected 5"):
        assembled(
            student.config.model_copy(update={"anchors": ANCHORS[:4]}),
            student.model,
            student.tokenizer,
        )
    with pytest.raises(ArtefactError, match=r"tokenizer\.json"):
        assembled(student.config, student.model, b"{}")


SCORE = st.none() | st.integers(0, 10)
ANY = st.text(st.characters())


@given(st.lists(st.tuples(SCORE, ANY, ANY), min_size=1, max_size=16))
def test_what_is_written_is_read_back(slots: list[tuple[int | None, str, str]]) -> None:
    scores, reasons, anchors = map(list, zip(*slots, strict=True))
    text = written(scores, reasons, anchors)
    assert parse(text, len(slots)) == (scores, [" ".join(reason.split()) for reason in reasons])
    assert text.count("\n") == 1 + len(slots)


@given(ANY | st.text("0123456789,-.:\n a"), st.integers(1, 16))
@example("0\x1f", 1)
@settings(max_examples=400)
def test_anything_can_be_read(text: str, slots: int) -> None:
    scores, reasons = parse(text, slots)
    assert len(scores) == len(reasons) == slots
    assert all(one is None or (type(one) is int and 0 <= one <= 10) for one in scores)
    assert all("\n" not in reason for reason in reasons)


@pytest.mark.parametrize(
    ("text", "scores", "reasons"),
    [
        ("7,3,10\n", [7, 3, 10], ["", "", ""]),
        (" 7, 3 ,10\n0. a: x\n2. c: y: z\n", [7, 3, 10], ["x", "", "y: z"]),
        ("Scores: 7,3,10", [7, 3, 10], ["", "", ""]),
        ("7,11,-1\n", [7, None, None], ["", "", ""]),
        ("7,-,2.5,4\n", [7, None, None], ["", "", ""]),
        ("7", [7, None, None], ["", "", ""]),
        ("a good text\n1. b: first\n1. b: second\n9. d: none", [None] * 3, ["", "first", ""]),
        ("", [None] * 3, [""] * 3),
        ("٣,²,1e1", [None] * 3, [""] * 3),
    ],
)
def test_answers_are_read_as(text: str, scores: list[int | None], reasons: list[str]) -> None:
    assert parse(text, 3) == (scores, reasons)


def test_without_reasons_only_the_scores_are_written() -> None:
    assert written([7, None, 10], [], ANCHORS[:3]) == "7,-,10\n"
    assert written([7], ["so \n so"], ["a: b"]) == "7\n0. a b: so so\n"

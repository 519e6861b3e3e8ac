"""The n-gram model is that of the formulas, written down plainly over tuples and dictionaries."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from mira_spark.scoring.baselines import ngram_model
from mira_spark.scoring.baselines.dsir import words
from mira_spark.scoring.baselines.ngram_model import NgramModel, train

BEGIN, END, UNKNOWN = "<begin>", "<end>", "<unknown>"
Gram = tuple[str, ...]
USUAL = [0, 0.5, 1.0, 1.5]


class Plain:
    """Interpolated modified Kneser-Ney, as the paper's formulas have it."""

    def __init__(self, texts: Sequence[str], order: int) -> None:
        seen: Counter[Gram] = Counter()
        before: defaultdict[Gram, set[str]] = defaultdict(set)
        for text in texts:
            sentence = [BEGIN, *words(text), END]
            for length in range(1, order + 1):
                for i in range(len(sentence) - length + 1):
                    gram = tuple(sentence[i : i + length])
                    seen[gram] += 1
                    if i:
                        before[gram].add(sentence[i - 1])
        longest = max(map(len, seen))
        self.order = min(order, longest)
        self.counts: list[dict[Gram, int]] = [{} for _ in range(self.order + 1)]
        for gram, count in seen.items():
            is_whole = len(gram) == self.order or gram[0] == BEGIN
            self.counts[len(gram)][gram] = count if is_whole else len(before[gram])
        del self.counts[1][(BEGIN,)]
        self.vocabulary = {gram[0] for gram in self.counts[1]} | {UNKNOWN}
        self.discounts = [self._discounts(counts) for counts in self.counts]

    def _discounts(self, counts: dict[Gram, int]) -> list[float]:
        n = [sum(count == k for count in counts.values()) for k in range(5)]
        if not all(n[1:]):
            return USUAL
        y = n[1] / (n[1] + 2 * n[2])
        found = [0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))]
        usable = all(0 <= d <= k for k, d in enumerate(found))
        return found if usable else USUAL

    def probability(self, word: str, context: Gram) -> float:
        length = len(context) + 1
        after = {g: c for g, c in self.counts[length].items() if g[:-1] == context}
        if not after:
            return self.probability(word, context[1:])
        discounts, total = self.discounts[length], sum(after.values())
        count = after.get((*context, word), 0)
        share = (count - discounts[min(count, 3)]) / total
        rest = sum(discounts[min(c, 3)] for c in after.values()) / total
        if not context:
            return share + rest / len(self.vocabulary)
        return share + rest * self.probability(word, context[1:])

    def perplexity(self, text: str) -> float:
        sentence = [BEGIN, *words(text), END]
        sentence = [w if w in self.vocabulary or w == BEGIN else UNKNOWN for w in sentence]
        logs = [
            math.log(self.probability(sentence[i], tuple(sentence[max(0, i - self.order + 1) : i])))
            for i in range(1, len(sentence))
        ]
        return math.exp(-sum(logs) / len(logs))


def texts(seed: int, count: int, vocabulary: int) -> list[str]:
    draw = random.Random(seed)
    return [
        " ".join(f"w{int(vocabulary * draw.random() ** 3)}" for _ in range(draw.randint(0, 12)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("count", "vocabulary"), [(1, 3), (5, 4), (60, 30)])
def test_perplexity_is_that_of_a_plain_implementation(
    order: int, count: int, vocabulary: int
) -> None:
    target = [*texts(order, count, vocabulary), "w0 w1"]
    model, plain = train(target, order), Plain(target, order)
    asked = [text for text in texts(99, 40, 2 * vocabulary) if text] + target[-1:]
    for text in asked:
        perplexity = math.exp(-model.mean_log_likelihood(text))
        assert perplexity == pytest.approx(plain.perplexity(text), rel=1e-12)


def test_discounts_of_its_own_are_those_of_the_formulas() -> None:
    """Most other texts are too few: their discounts are the usual ones."""
    target = texts(4, 120, 400)
    model, plain = train(target, 3), Plain(target, 3)
    assert USUAL not in plain.discounts[1:3]
    for text in filter(None, target[:20]):
        perplexity = math.exp(-model.mean_log_likelihood(text))
        assert perplexity == pytest.approx(plain.perplexity(text), rel=1e-12)


def test_what_may_follow_a_context_has_probabilities_that_sum_to_1() -> None:
    model = train(texts(5, 30, 8), 3)
    followers = [i for name, i in model.vocabulary.items() if name != BEGIN]
    for context in ([1], [1, 3], [3, 4], [0, 3], [4]):
        total = sum(model.probabilities(np.array([*context, w]))[-1] for w in followers)
        assert total == pytest.approx(1)


def test_the_order_of_the_target_set_does_not_matter() -> None:
    target = texts(6, 30, 20)
    there, back = (train(given, 3).arrays() for given in (target, target[::-1]))
    assert there.keys() == back.keys()
    assert all(np.array_equal(there[name], back[name]) for name in there)


def test_a_model_comes_back_from_its_arrays() -> None:
    model = train([*texts(7, 30, 20), "Ünï «x» <begin> <end>"], 4)
    again = NgramModel.from_arrays(model.arrays())
    assert again.vocabulary == model.vocabulary
    for text in ("w1 w2 ünï «x» <begin>", "nothing of it", "w0"):
        assert again.mean_log_likelihood(text) == model.mean_log_likelihood(text)


def test_texts_like_the_target_set_are_likelier() -> None:
    model = train(["the sun is up", "the sea is calm", "the sun is low"], 3)
    likelihoods = [model.mean_log_likelihood(t) for t in ("the sun is calm", "calm is sun the")]
    assert likelihoods[0] > likelihoods[1]


def test_a_text_without_a_word_has_no_perplexity() -> None:
    assert math.isnan(train(["a b"], 2).mean_log_likelihood(" \n"))


def test_marks_are_no_word_of_a_text() -> None:
    assert not set(ngram_model._MARKS) & set(words(" ".join(ngram_model._MARKS)))

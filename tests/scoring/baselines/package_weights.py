"""The weights that the package data-selection gives 2,000 documents, and those documents.

`python tests/scoring/baselines/package_weights.py`, where data-selection 1.0.3 and nltk 3.9.1 are
installed (with nothing of ours), writes `package_weights.npy` beside itself. With nltk 3.10, which
cuts texts by another library, weights of documents with Devanagari are others.
"""

import json
import random
import tempfile
from pathlib import Path

DOCUMENTS, TARGETS = 2_000, 300
FILE = Path(__file__).with_suffix(".npy")
_SPELL = random.Random(0)
_WORDS = ["".join(_SPELL.choices("eeeeaaaooiinnssrrttllcdmpug", k=_SPELL.randint(1, 9)))
          for _ in range(4_000)]  # fmt: skip
_LINES = (
    "def {}({}, {}=None):\n    return {}[{}] + 1\n",
    "{} said: «{} is {}»… {} & {}!?\n\n",
    '<a href="http://{}.example/{}?q={}">{}</a> -- {}; ',
    "प्रश्न {} हिन्दी {} में है। {} {} {} ",
    "量子 {} 計算機、{}。Größe {}: 3.14e-5 {}_{} ",
)


def documents() -> list[str]:
    """The corpus: from no word to some hundreds, of several alphabets, prose and code; every fourth
    is like the target set."""
    draw = random.Random(1)
    return [_text(draw, 400 if place % 4 == 0 else 4_000) for place in range(DOCUMENTS)]


def target() -> list[str]:
    """The target set: of fewer words."""
    draw = random.Random(2)
    return [_text(draw, 400) for _ in range(TARGETS)]


def _text(draw: random.Random, vocabulary: int) -> str:
    def word() -> str:
        chosen = _WORDS[int(vocabulary * draw.random() ** 3)]
        return chosen.upper() if draw.random() < 0.05 else chosen

    def line() -> str:
        form = draw.choice(_LINES).format(*(word() for _ in range(5)))
        return form + " ".join(word() for _ in range(8)) + ".\n"

    return "".join(line() for _ in range(draw.choice((0, 1, 3, 10, 30))))


def main() -> None:
    import numpy as np
    from data_selection import HashedNgramDSIR

    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, texts in (("corpus", documents()), ("target", target())):
            paths[name] = Path(folder) / f"{name}.jsonl"
            paths[name].write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        dsir = HashedNgramDSIR(
            [str(paths["corpus"])], [str(paths["target"])], cache_dir=folder, num_proc=1
        )
        dsir.fit_importance_estimator(num_tokens_to_fit="all")
        dsir.compute_importance_weights()
        weights = np.load(Path(folder) / "log_importance_weights" / "0.npy")
    np.save(FILE, weights)


if __name__ == "__main__":
    main()

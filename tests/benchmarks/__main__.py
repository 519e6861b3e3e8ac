"""`make bench`: every benchmark, one after the other; `--quick` makes the longest ones short,
`--datatrove PYTHON` gives one something to compare with."""

import sys

from tests.benchmarks import (
    contamination,
    gpu_scoring,
    judge,
    linear_kernel,
    many_sources,
    near_duplicates,
    reaggregation,
    scoring,
    selection,
)

if __name__ == "__main__":
    linear_kernel.main()
    scoring.main(sys.argv[1:])
    reaggregation.main()
    selection.main(sys.argv[1:])
    many_sources.main()
    near_duplicates.main(sys.argv[1:])
    contamination.main(sys.argv[1:])
    gpu_scoring.main()
    judge.main(sys.argv[1:])

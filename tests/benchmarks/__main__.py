"""`make bench`: every benchmark, one after the other; `--quick` makes the longest one short."""

import sys

from tests.benchmarks import judge, linear_kernel

if __name__ == "__main__":
    linear_kernel.main()
    judge.main(sys.argv[1:])

"""`make bench`: every benchmark, one after the other."""

from tests.benchmarks import linear_kernel

if __name__ == "__main__":
    linear_kernel.main()

"""spark-submit program of the step discover_rubrics; the same options as `mira discover-rubrics`.

spark-submit --py-files dist/mira_spark.zip jobs/discover_rubrics.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("discover_rubrics")


if __name__ == "__main__":
    main()

"""spark-submit program of the step find_duplicates; the same options as `mira find-duplicates`.

spark-submit --py-files dist/mira_spark.zip jobs/find_duplicates.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("find_duplicates")


if __name__ == "__main__":
    main()

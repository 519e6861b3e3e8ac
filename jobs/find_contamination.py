"""spark-submit program of find_contamination; the same options as `mira find-contamination`.

spark-submit --py-files dist/mira_spark.zip jobs/find_contamination.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("find_contamination")


if __name__ == "__main__":
    main()

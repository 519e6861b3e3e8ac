"""spark-submit program of the step group_sources; the same options as `mira group-sources`.

spark-submit --py-files dist/mira_spark.zip jobs/group_sources.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("group_sources")


if __name__ == "__main__":
    main()

"""spark-submit program of the step report_selection; the same options as `mira report-selection`.

spark-submit --py-files dist/mira_spark.zip jobs/report_selection.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("report_selection")


if __name__ == "__main__":
    main()

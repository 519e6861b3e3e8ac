"""spark-submit program of the step distill_students; the same options as `mira distill-students`.

spark-submit --py-files dist/mira_spark.zip jobs/distill_students.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("distill_students")


if __name__ == "__main__":
    main()

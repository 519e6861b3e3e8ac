"""spark-submit program of all steps in order; the same options as `mira run`.

spark-submit --py-files dist/mira_spark.zip jobs/run_pipeline.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the pipeline; also the entry point of a Python wheel task."""
    step_main("run")


if __name__ == "__main__":
    main()

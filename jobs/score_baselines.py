"""spark-submit program of the step score_baselines; the same options as `mira score-baselines`.

spark-submit --py-files dist/mira_spark.zip jobs/score_baselines.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("score_baselines")


if __name__ == "__main__":
    main()

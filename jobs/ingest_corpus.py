"""spark-submit program of the step ingest_corpus; the same options as `mira ingest-corpus`.

spark-submit --py-files dist/mira_spark.zip jobs/ingest_corpus.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("ingest_corpus")


if __name__ == "__main__":
    main()

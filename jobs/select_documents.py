"""spark-submit program of the step select_documents; the same options as `mira select-documents`.

spark-submit --py-files dist/mira_spark.zip jobs/select_documents.py --config conf/cluster.yaml
"""

from mira_spark.__main__ import step_main


def main() -> None:
    """Run the step; also the entry point of a Python wheel task."""
    step_main("select_documents")


if __name__ == "__main__":
    main()

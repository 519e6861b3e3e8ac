"""`python -m mira_spark.cli` is `python -m mira_spark`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("mira_spark", run_name="__main__", alter_sys=True)

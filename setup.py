"""Which packages the wheel has; all else is in `pyproject.toml`."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["mira_spark*"]), "mira_spark.jobs", "mira_spark.udfs"])

"""A command starts with what every command needs; what one step needs is imported by that step."""

import subprocess
import sys

SLOW = ("torch", "transformers", "sklearn", "mlflow", "plotly", "openai", "boto3")
"""What no command needs before it does its work."""


def test_a_command_starts_without_the_slow_packages() -> None:
    script = (
        "import sys; import mira_spark.cli.main; "
        f"print(*(name for name in {SLOW!r} if name in sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == []

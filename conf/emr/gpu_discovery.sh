#!/usr/bin/env bash
# The GPUs that this container may use, in the words that Spark asks for.
set -euo pipefail
indexes=$(nvidia-smi --query-gpu=index --format=csv,noheader)
printf '{"name": "gpu", "addresses": [%s]}\n' "$(sed 's/.*/"&"/' <<< "$indexes" | paste -sd, -)"

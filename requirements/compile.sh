#!/bin/sh
# Pins every dependency with hashes; run after a change to pyproject.toml. Needs `uv` (pip install uv).
set -eu
cd "$(dirname "$0")/.."
lock() { uv pip compile --group build --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command requirements/compile.sh pyproject.toml "$@"; }
lock --python-version 3.11 --extra runtimes --extra dashboard --extra jobs --output-file requirements/run.txt
lock --python-version 3.11 --extra runtimes --extra dashboard --extra jobs --extra s3 --group dev --output-file requirements/dev.txt
lock --python-version 3.10 --extra precision --extra jobs --extra s3 --output-file requirements/worker.txt
uv pip compile --quiet --generate-hashes --no-emit-index-url --custom-compile-command requirements/compile.sh --python-version 3.11 \
  --override requirements/modelopt-overrides.in requirements/modelopt.in --output-file requirements/modelopt.txt
uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command requirements/compile.sh --python-version 3.10 \
  requirements/tensorrt-rtx.in --output-file requirements/tensorrt-rtx.txt

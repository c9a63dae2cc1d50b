#!/bin/sh
# Every check that a change must pass; CI runs this and nothing else.
set -eu
bin=${VENV:-.venv}/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/lint-imports"
exec "$bin/pytest" -n 3 --durations 20 --durations-min 1 "$@"

#!/bin/sh
# Every check that a change must pass; CI runs this and nothing else. Types and layers are checked beside the tests.
set -eu
bin=${VENV:-.venv}/bin
unset PYTHONDONTWRITEBYTECODE # hundreds of processes would compile the program anew
"$bin/ruff" check .
"$bin/ruff" format --check .
told=$(mktemp)
trap 'rm -f "$told"' EXIT
{ "$bin/mypy" && "$bin/lint-imports"; } >"$told" 2>&1 &
beside=$!
status=0
"$bin/pytest" -n 3 --durations 20 --durations-min 1 "$@" || status=$?
wait "$beside" || status=1
cat "$told"
exit "$status"

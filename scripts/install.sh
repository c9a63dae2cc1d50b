#!/bin/sh
# install.sh PYTHON VENV REQUIREMENTS...: makes the environment and installs the pinned requirements and Engine Room.
set -eu
python=$1 venv=$2
shift 2

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
  echo "Engine Room needs Python 3.11, 3.12 or 3.13; $python is $("$python" --version). Try: make PYTHON=python3.11 ..." >&2
  exit 1
}
if [ ! -x "$venv/bin/python" ]; then
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "Debian keeps venv in a package of its own; installing python3-venv."
    if [ "$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv; else
      sudo apt-get update -qq && sudo apt-get install -y -qq python3-venv
    fi
  fi
  "$python" -m venv "$venv"
fi
for requirements; do
  echo "Installing $requirements (about 2 GB on disk in all, a few minutes the first time)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
done
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

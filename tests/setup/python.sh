#!/usr/bin/env bash
# Make the virtual environment with the pinned requirements.
# usage: python.sh PYTHON VENV REQUIREMENTS
set -euo pipefail
. "$(dirname "$0")/say.sh"
python=$1 venv=$2 requirements=$3

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say python "$("$python" --version) is too old: Python 3.11 or newer is needed. Name one by 'make PYTHON=/path/to/python3.11 ...'."
    exit 1
}
rm -rf "$venv"
run python "making a virtual environment in $venv" "$python" -m venv "$venv"
run python "installing $(grep -c '==' "$requirements") pinned packages" "$venv/bin/python" -m pip install --quiet --requirement "$requirements"
touch "$venv/.ready"

#!/usr/bin/env bash
# Prints the first Python that works, of the versions given: find_python.sh 3.11 3.12
# Each is tried, since a pyenv shim on the PATH need not lead to a Python.
for version in "$@"; do
  for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
    if "$python" -c "import ensurepip, ssl" 2>/dev/null; then
      echo "$python"
      exit
    fi
  done
done
exit 1

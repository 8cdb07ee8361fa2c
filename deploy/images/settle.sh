#!/bin/sh
# Makes a directory of Python the same whenever and wherever it is made: settle.sh PYTHON DIRECTORY
# Compiled files are valid by the hash of their source, and no file has a time.
set -eu
# Also those again that an import has left, which are valid by time.
PYTHONHASHSEED=0 "$1" -m compileall -q -f --invalidation-mode unchecked-hash "$2"
find "$2" -exec touch -h -d @0 {} +

#!/bin/sh
# Makes a directory of Python the same whenever and wherever it is made: settle.sh PYTHON DIRECTORY
# Compiled files are valid by the hash of their source, and no file has a time.
set -eu
"$1" -m compileall -q --invalidation-mode unchecked-hash "$2"
find "$2" -exec touch -h -d @0 {} +

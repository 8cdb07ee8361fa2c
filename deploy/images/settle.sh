#!/bin/sh
# Makes a directory of Python the same whenever and wherever it is made, and puts it below ROOT: settle.sh PYTHON DIRECTORY ROOT
# Compiled files are valid by the hash of their source and name DIRECTORY, and no file has a time. What is copied from ROOT to /
# settles the times of the directories above as well.
set -eu
python=$1 directory=$2 root=$3
# Also those again that an import has left, which are valid by time.
PYTHONHASHSEED=0 "$python" -m compileall -q -f --invalidation-mode unchecked-hash "$directory"
mkdir -p "$root$(dirname "$directory")"
mv "$directory" "$root$directory"
find "$root" -exec touch -h -d @0 {} +

#!/bin/sh
# Takes from the source what one image is for: select.sh SERVICE SOURCE TARGET
set -eu
service=$1 source=$2 target=$3
mkdir -p "$target/bin"
cp -R "$source/libs" "$target/"
cp "$source/healthy" "$target/bin/"

start() {
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$target/bin/$1"
}

case $service in
auth | pipelines | records | realtime)
    mkdir "$target/services"
    cp "$source/services/__init__.py" "$target/services/"
    cp -R "$source/services/$service" "$target/services/"
    start start "python -m services.$service.main"
    ;;
gateway)
    cp -R "$source/gateway" "$target/"
    start start "python -m gateway.main"
    ;;
operations)
    cp -R "$source/ops" "$source/millrace" "$target/"
    (cd "$source" && find services/ -path '*/migrations/*' -type f) | while read -r file; do
        mkdir -p "$target/$(dirname "$file")"
        cp "$source/$file" "$target/$file"
    done
    start millrace "python -c 'from ops.cli import main; main()'"
    start start "millrace --help"
    # A job ends with its command; there is nothing to ask whether it is healthy.
    start healthy "true"
    ;;
*)
    echo "SERVICE is '$service'; it has to be auth, pipelines, records, realtime, gateway or operations." >&2
    exit 1
    ;;
esac
chmod 755 "$target"/bin/*
find "$target" -name __pycache__ -type d -prune -exec rm -r {} +

#!/bin/bash
# pictures.sh DIR PAGE.html...: what a person would see of each page, as PNG files in DIR, for a person to look at.
#
# A page by day and by night, 1000 pixels wide; on a phone, 360 wide; and on paper, A4. Long pages are cut into pieces
# of 1500 pixels, PAGE-LOOK-1.png and on. Needs chromium and pdftoppm (poppler-utils); CI has neither and does not call this.
# With html-validate in the PATH, each page is checked with it, too (tests/tools/html-validate.json).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
to=$1
shift
for tool in chromium pdftoppm; do
    command -v $tool >/dev/null || { echo "pictures.sh: install chromium and poppler-utils first: no $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to"

# browse ARGUMENT...: without a network of its own, and with a home that is gone afterwards.
browse() {
    HOME=$work timeout 60 chromium --no-sandbox --headless --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
        --allow-file-access-from-files --hide-scrollbars --user-data-dir="$work/profile" "$@" 2>/dev/null
}

# frame PAGE WIDTH TOP HEIGHT: a window to look through, since a browser's own is never as narrow as a phone.
frame() {
    cat <<HTML
<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><style>html{color-scheme:light dark}body{margin:0;overflow:hidden}
iframe{border:0;width:$2px;height:$4px;margin-top:-$3px;display:block}</style></head><body><iframe src="$1"></iframe>
<script>onload = () => { document.title = frames[0].document.documentElement.scrollHeight }</script></body></html>
HTML
}

# look PAGE NAME WIDTH SCHEME: 0 is dark, 1 is light.
look() {
    local page=$1 name=$2 width=$3 scheme=$4 height top piece=1
    frame "$page" "$width" 0 500 >"$work/frame.html"
    height=$(browse --window-size=1000,500 --virtual-time-budget=2000 --dump-dom "file://$work/frame.html" |
        sed -n 's/.*<title>\([0-9]*\)<.*/\1/p')
    [ -n "$height" ] || { echo "pictures.sh: chromium does not tell how high $page is" >&2; exit 1; }
    for ((top = 0; top < height; top += 1500)); do
        frame "$page" "$width" $top "$height" >"$work/frame.html"
        browse --blink-settings=preferredColorScheme="$scheme" \
            --window-size="$width",$((height - top < 1500 ? height - top : 1500)) \
            --screenshot="$to/$name-$piece.png" "file://$work/frame.html"
        piece=$((piece + 1))
    done
    echo "  $to/$name-*.png  $width x $height"
}

for page in "$@"; do
    path=$(realpath "$page")
    name=$(basename "$page" .html)
    rm -f "$to/$name"-*.png
    look "file://$path" "$name-light" 1000 1
    look "file://$path" "$name-dark" 1000 0
    look "file://$path" "$name-phone" 360 1
    look "file://$path" "$name-phone-dark" 360 0
    browse --no-pdf-header-footer --print-to-pdf="$work/page.pdf" "file://$path"
    pdftoppm -r 80 -png "$work/page.pdf" "$to/$name-print"
    echo "  $to/$name-print-*.png"
done
if command -v html-validate >/dev/null; then
    html-validate --config "$here/html-validate.json" "$@" && echo "  html-validate: nothing to say"
fi

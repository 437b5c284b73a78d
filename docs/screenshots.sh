#!/usr/bin/env bash
# Takes pictures/terminal.png, report.png and overview.png again, from a real run in a real terminal and a real browser.
# Needs: apt-get install xvfb xterm imagemagick pngquant chromium. Usage, with trainer on the PATH: docs/screenshots.sh
set -euo pipefail
docs=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cat > type.sh <<'EOF'
printf '$ trainer train\n' && trainer train && touch done && sleep 60
EOF
cat > shoot.sh <<'EOF'
xterm -fa 'DejaVu Sans Mono' -fs 10 -geometry 81x58 -bg '#1b1b1f' -fg '#e6e6e6' \
  -xrm '*cursorColor: #1b1b1f' -e bash type.sh &
until [ -e done ]; do sleep 0.2; done
sleep 1 && import -window root raw.png && kill %1
EOF
xvfb-run -a -s "-screen 0 700x1020x24" bash shoot.sh
convert raw.png -crop 632x920+1+1 +repage terminal.png

trainer train -m dataset=iris model.hidden='[8],[32,32]' optimizer.lr=1e-3,1e-2,1e-1 epochs=8 \
  output_dir=many >/dev/null
trainer report --all many

PYTHONPATH="$docs/../tests/support" python3 - <<'EOF'
from pathlib import Path

from browser import Browser

with Browser(Path("profile")) as browser:
    browser.open(Path("outputs/latest/report.html"), width=1000)
    browser.picture(Path("page.png"))
    browser.open(Path("many/report.html"), width=1000)
    browser.picture(Path("overview.png"))
EOF
convert page.png -crop 1000x1770+0+0 +repage report.png

for name in terminal report overview; do
  pngquant --force --strip --output "$docs/pictures/$name.png" 128 "$name.png"
done
ls -l "$docs/pictures"

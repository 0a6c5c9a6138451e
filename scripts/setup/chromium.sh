#!/usr/bin/env bash
# Makes Chromium usable, in which the TypeScript client is tested: Debian's, as /usr/bin/chromium. CHROMIUM names another one.
. "$(dirname "$0")/../lib.sh"

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install_apt chromium

#!/usr/bin/env bash
# Makes sure that Prometheus' tool can be run: `promtool` on the PATH.
. "$(dirname "$0")/../lib.sh"

have promtool || install_apt prometheus

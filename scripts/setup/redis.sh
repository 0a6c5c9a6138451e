#!/usr/bin/env bash
# Makes sure that a Redis server can be started: `redis-server` on the PATH.
. "$(dirname "$0")/../lib.sh"

have redis-server || install_apt redis-server

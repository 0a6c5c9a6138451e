#!/usr/bin/env bash
# Makes sure that the tests can start an OCI registry, and sign components: `docker-registry` and `minisign` on the PATH.
. "$(dirname "$0")/../lib.sh"

have docker-registry || install_apt docker-registry
have minisign || install_apt minisign

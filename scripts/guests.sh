#!/usr/bin/env bash
# Builds the components of all languages, or of those named: scripts/guests.sh rust python
. "$(dirname "$0")/lib.sh"

languages=("$@")
[ ${#languages[@]} -gt 0 ] || languages=(rust python javascript typescript go c cpp)
for language in "${languages[@]}"; do
  "$ROOT/scripts/guests/$language.sh"
done

# Helpers for the scripts of this folder. Source it, don't run it:
#   . "$(dirname "$0")/lib.sh"        (from scripts/)
#   . "$(dirname "$0")/../lib.sh"     (from scripts/setup/ and scripts/guests/)
#
# Conventions: scripts/setup/<tool>.sh makes one tool usable and may run any number of times; scripts/guests/<language>.sh
# builds that language's components into build/guests/<language>/<name>.wasm. Talk goes to stderr, data to stdout.
# shellcheck shell=bash
set -euo pipefail

# The repository's root, wherever the caller stands.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that is built and not cargo's own goes here; git ignores it.
BUILD=$ROOT/build
# shellcheck disable=SC2034  # used by the scripts that source this
GUESTS=$BUILD/guests

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  _bold=$'\e[1m' _red=$'\e[31m' _plain=$'\e[0m'
else
  _bold='' _red='' _plain=''
fi

# say TEXT…: one line of progress. With BEGUN, the second of the epoch in which everything began, it says how long that is ago.
say() {
  local at=
  if [ -n "${BEGUN:-}" ]; then at=$(($(date +%s) - BEGUN)) && at=$(printf '[%d:%02d] ' $((at / 60)) $((at % 60))); fi
  printf '%s>%s %s%s\n' "$_bold" "$_plain" "$at" "$*" >&2
}

# warn TEXT…: something the user should know, but work goes on.
warn() { printf '%swarning:%s %s\n' "$_red" "$_plain" "$*" >&2; }

# die TEXT…: what happened and what to do about it; ends the script.
die() { printf '%serror:%s %s\n' "$_red" "$_plain" "$*" >&2; exit 1; }

# have COMMAND: is it on the PATH?
have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND HOW-TO-GET-IT: ends the script unless the command is there.
need() { have "$1" || die "'$1' is needed and not on the PATH. $2"; }

# install_apt PACKAGE…: installs what is missing. Only as root on a system with apt; elsewhere it names what to install.
install_apt() {
  local missing=() package
  for package in "$@"; do
    if ! have dpkg-query || [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! have apt-get; then
    die "these Debian packages (or your system's equivalent) are needed: ${missing[*]}"
  elif [ "$(id -u)" -ne 0 ]; then
    die "please install: sudo apt-get install ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  # Held for the whole install: two builds that start together would trip over dpkg's own lock.
  mkdir -p "$BUILD"
  (
    if have flock; then flock 9; fi
    # A fresh machine has no package lists yet; where they are present, a mirror that is away must not stop us.
    apt-get update -qq >&2 || warn "apt-get update failed; trying with the package lists that are here"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
      die "apt-get could not install ${missing[*]}; see its message above"
  ) 9>"$BUILD/.apt.lock"
}

# host_binary: sets HOST to the binary: BRRR_HOST if it is given, or else the development build, which is brought up to date.
host_binary() {
  # shellcheck disable=SC2034  # used by the scripts that source this
  HOST=${BRRR_HOST:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/brrr-host}
  [ -z "${BRRR_HOST:-}" ] || return 0
  "$ROOT/scripts/setup/rust.sh"
  say "building the host (several minutes the first time)"
  cargo build --manifest-path "$ROOT/Cargo.toml" --locked -p brrr-host
}

# install_pinned VENV REQUIREMENTS: makes a Python environment in that folder, with exactly what the file says.
install_pinned() {
  local venv=$1 requirements=$2
  have python3 || install_apt python3
  # The programs of an environment name its place, so those of a project that was moved do not run.
  if ! "$venv/bin/pip" --version >/dev/null 2>&1; then
    # Debian packages what venv needs separately.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_apt python3-venv
    say "making ${venv#"$ROOT"/}"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv --clear "$venv" || die "python3 -m venv failed, see above"
  fi
  # The copy says what is installed: pip takes a second to find out that there is nothing to do.
  if ! cmp -s "$requirements" "$venv/.requirements"; then
    say "installing what ${requirements#"$ROOT"/} names"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
      die "pip could not install ${requirements#"$ROOT"/}; see its message above"
    cp "$requirements" "$venv/.requirements"
  fi
}

# put FILE TARGET: copies only when the bytes differ, so that nothing downstream rebuilds for nothing.
put() {
  mkdir -p "$(dirname "$2")"
  if ! cmp -s "$1" "$2"; then
    # Copy and rename: a worker that is reading the old component keeps it whole.
    cp "$1" "$2.new.$$" && mv "$2.new.$$" "$2"
  fi
}

# install_maven FOLDER GROUP:ARTIFACT:VERSION: puts a Java program, with all that it needs, into build/servers/FOLDER/lib.
install_maven() {
  local folder=$BUILD/servers/$1 group artifact version work
  IFS=: read -r group artifact version <<<"$2"
  if [ "$(cat "$folder/installed" 2>/dev/null)" != "$2" ]; then
    install_apt default-jre-headless maven
    need mvn "Install Maven."
    say "installing $artifact $version"
    work=$(mktemp -d)
    # Maven resolves what a project needs, so there is a project that needs just this.
    cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>brrr</groupId><artifactId>server</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
POM
    rm -rf "$folder"
    mkdir -p "$folder"
    mvn -q -B -f "$work/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$folder/lib" >&2 ||
      die "Maven could not fetch $2; see its message above"
    rm -rf "$work"
    # Last: an install that was cut off is done again.
    printf '%s\n' "$2" >"$folder/installed"
  fi
  need java "Install a Java runtime, 17 or newer."
}

digest() { if have sha256sum; then sha256sum; else shasum -a 256; fi; }

# component LANGUAGE NAME INPUT… -- COMMAND…: builds build/guests/LANGUAGE/NAME.wasm by COMMAND, which gets the file to
# write as its last argument. Skips it if the inputs (files and folders, relative to the root) are as they were.
component() {
  local language=$1 name=$2 inputs=() path
  shift 2
  while [ "$1" != -- ]; do inputs+=("$1"); shift; done
  shift
  local target=$GUESTS/$language/$name.wasm stamp=$GUESTS/$language/.$name.inputs hash
  hash=$(
    cd "$ROOT"
    find "${inputs[@]}" -type f ! -name '*.pyc' | LC_ALL=C sort |
      while read -r path; do echo "$path"; cat "$path"; done | digest
  )
  if [ -f "$target" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then return; fi
  say "building $language/$name"
  local scratch
  scratch=$(mktemp -d)
  "$@" "$scratch/$name.wasm" || die "$language/$name could not be built, see above"
  put "$scratch/$name.wasm" "$target"
  rm -r "$scratch"
  echo "$hash" >"$stamp"
}

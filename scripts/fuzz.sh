#!/usr/bin/env bash
# Coverage-guided fuzzing of every decoder, from the corpus that the repository keeps (tests/fuzz).
#   make fuzz                             each target for a minute
#   make fuzz TARGET=run SECONDS=600      one target, for longer
#   make fuzz MINIMISE=1                  afterwards the corpus becomes the fewest inputs that reach the same code
# The repository keeps the corpus in one archive, tests/fuzz/corpus.tar; it is unpacked to build/fuzz/kept. What is found on
# the way is in build/fuzz/corpus until MINIMISE=1 puts it into the archive, and is where the next run goes on from.
. "$(dirname "$0")/lib.sh"

# Pinned, for its options and libFuzzer's output are read here.
readonly CARGO_FUZZ=0.13.2
# Not `SECONDS`, in which bash itself counts.
seconds=${FUZZ_SECONDS:-60}
fuzz=$ROOT/tests/fuzz tools=$BUILD/cargo-fuzz work=$BUILD/fuzz
kept=$work/kept

"$ROOT/scripts/setup/rust.sh"
have python3 || install_apt python3
# libFuzzer is C++.
if ! have c++; then install_apt build-essential; fi
if [ "$(cat "$tools/installed" 2>/dev/null)" != $CARGO_FUZZ ]; then
  say "installing cargo-fuzz $CARGO_FUZZ into build/ (a minute)"
  cargo install --quiet --locked --root "$tools" --version $CARGO_FUZZ cargo-fuzz
  echo $CARGO_FUZZ >"$tools/installed"
fi

# Without a sanitizer, for which a nightly compiler would be needed: they find what safe Rust can't do. What is looked for
# are panics (overflows among them: assertions are on), memory and time.
fuzz() {
  local what=$1
  shift
  PATH=$tools/bin:$PATH cargo fuzz "$what" --fuzz-dir "$fuzz/libfuzzer" --target-dir "$work/target" --sanitizer none "$@"
}

targets=${TARGET:-$(find "$fuzz/libfuzzer/fuzz_targets" -name '*.rs' -exec basename {} .rs \; | LC_ALL=C sort)}
say "building the targets"
for target in $targets; do
  [ -f "$fuzz/libfuzzer/fuzz_targets/$target.rs" ] || die "there is no target '$target'; there are $(
    find "$fuzz/libfuzzer/fuzz_targets" -name '*.rs' -exec basename {} .rs \; | LC_ALL=C sort | paste -sd' ')"
done
fuzz build >&2
"$ROOT/scripts/fuzz/archive.py" unpack "$fuzz/corpus.tar" "$kept"

failed=()
printf '%-16s %12s %9s %9s %7s\n' target inputs coverage 'new edges' kept
for target in $targets; do
  mkdir -p "$work/corpus/$target" "$work/artifacts/$target" "$kept/$target"
  log=$work/$target.log
  folders=("$work/corpus/$target" "$kept/$target")
  if [ -d "$fuzz/regressions/$target" ]; then folders+=("$fuzz/regressions/$target"); fi
  # The longest input: what is broken by more was broken by less. A second for one is a hundred times what any takes.
  if ! fuzz run "$target" "${folders[@]}" -- -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -artifact_prefix="$work/artifacts/$target/" >"$log" 2>&1; then
    failed+=("$target")
    warn "$target: $(grep -m1 -E 'panicked at|ERROR: libFuzzer' "$log" || echo 'it could not be run')"
    grep -m1 -A2 -E 'panicked at' "$log" >&2 || tail -5 "$log" >&2
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    if [ -n "$input" ]; then
      say "the input: $input"
      od -A d -c "$input" | head -20 >&2
      say "once more:  cargo test -p brrr-fuzz -- what_is_kept   (after: mkdir -p tests/fuzz/regressions/$target;" \
        "cp $input tests/fuzz/regressions/$target/NAME)"
    fi
  fi
  # libFuzzer: `#123 DONE cov: 45 ft: …`; INITED is what the corpus reached before.
  before=$(sed -n 's/.*INITED *cov: \([0-9]*\).*/\1/p' "$log" | head -1)
  after=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-16s %12s %9s %9s %7s\n' "$target" "${executed:-?}" "${after:-?}" "$((${after:-0} - ${before:-0}))" \
    "$(find "$work/corpus/$target" "$kept/$target" -type f | wc -l)"
  if [ -n "${MINIMISE:-}" ] && [ ${#failed[@]} -eq 0 ]; then
    rm -rf "$work/minimal"
    mkdir -p "$work/minimal"
    fuzz run "$target" "$work/minimal" "${folders[@]}" -- -set_cover_merge=1 -use_counters=0 -max_len=8192 >"$log.merge" 2>&1 ||
      die "$target could not be minimised, see $log.merge"
    # Named by their contents, as libFuzzer does: a file that stays keeps its name.
    rm -rf "${kept:?}/$target" "$work/corpus/$target"
    mv "$work/minimal" "$kept/$target"
    "$ROOT/scripts/fuzz/archive.py" pack "$kept" "$fuzz/corpus.tar"
  fi
done
[ ${#failed[@]} -eq 0 ] || die "broken promises: ${failed[*]} (logs: build/fuzz/TARGET.log)"

#!/usr/bin/env bash
# The C SDK's tests, natively, under the sanitizers: its codec against Python's, its malloc, handlers, the
# header in every C standard, and what brrr-cc refuses.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/c.sh"
"$ROOT/scripts/guests/c-bindings.sh" --check
C=$ROOT/guests/c
OUT=$BUILD/c-test
mkdir -p "$OUT"
SDK=("$C"/sdk/src/{call,error,memory,number,options,parse,request,task,url,value,wait,write}.c "$C/sdk/testing/testing.c")
FLAGS=(-std=gnu11 -g -O1 -Wall -Wextra -Werror "-fsanitize=address,undefined" -fno-sanitize-recover=all
  -I"$C/sdk/include" -I"$C/sdk/testing")
# Nothing is freed before the run ends: that is the design.
export ASAN_OPTIONS=detect_leaks=0

say "the C SDK"
builds=()
cc "${FLAGS[@]}" "${SDK[@]}" "$C/tests/codec.c" -o "$OUT/codec" &
builds+=($!)
for test in handlers waits; do
  cc "${FLAGS[@]}" -Wno-unknown-pragmas -Wno-infinite-recursion "${SDK[@]}" "$C"/conformance/*.c "$C/tests/$test.c" \
    -o "$OUT/$test" &
  builds+=($!)
done
# Beside the C library's own.
RENAME=()
for function in malloc calloc realloc free aligned_alloc posix_memalign; do
  RENAME+=("-D$function=wasm_$function")
done
(
  cc "${FLAGS[@]}" -fno-builtin "${RENAME[@]}" -c "$C/sdk/src/allocator.c" -o "$OUT/allocator.o"
  cc "${FLAGS[@]}" "$C/tests/allocator.c" "$OUT/allocator.o" -o "$OUT/allocator"
) &
builds+=($!)
for build in "${builds[@]}"; do wait "$build" || die "the tests do not compile, see above"; done
# SEED repeats a failed run; the cases print theirs.
python3 "$C/tests/cases.py" ${SEED:+"$SEED"} | "$OUT/codec"
"$OUT/allocator" ${SEED:+"$SEED"}
for test in handlers waits; do
  "$OUT/$test" 2>"$OUT/$test.log" || { cat "$OUT/$test.log" >&2; exit 1; }
  tail -n 1 "$OUT/$test.log" >&2
done

for line in 'info: with fields a=1 b=two' 'warn: odd fields list=[1] nan=NaN, which JSON does not have' 'info: no fields'; do
  grep -qFx "$line" "$OUT/waits.log" || die "the log lacks the line: $line"
done

# The host is told which version of the SDK made a component.
grep -q "^#define BRRR_VERSION \"$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)\"$" "$C/sdk/include/brrr.h" ||
  die "BRRR_VERSION in brrr.h is not the version in Cargo.toml"

# The header promises C11 and later.
for standard in c11 c17 c2x; do
  cc -std=$standard -fsyntax-only -Wall -Wextra -Werror -I"$C/sdk/include" "$C/example/app.c" ||
    die "brrr.h is no $standard"
done

# A program that wants what a handler cannot have is refused by name, and a compiler's error is an error.
refused() {
  local wanted=$1 text
  if text=$(WASM_TOOLS=$BUILD/venv/bin/wasm-tools "$C/sdk/bin/brrr-cc" "$OUT/bad.c" -o "$OUT/bad.wasm" 2>&1); then
    die "brrr-cc took what it should refuse: $wanted"
  fi
  case $text in *"$wanted"*) ;; *) die "brrr-cc says: $text, and not: $wanted" ;; esac
}
printf '#include <brrr.h>\n#include <dirent.h>\nstatic brrr_error *t(brrr_app *a) { return brrr_return(a, (int)(readdir(opendir("/")) != 0)); }\nBRRR_WORKER(BRRR_TASK(t))\n' >"$OUT/bad.c"
refused fd_readdir
echo 'int broken(' >"$OUT/bad.c"
refused "bad.c:1:"
# A text about what does not fit is no error to pass on.
printf '#include <brrr.h>\nstatic brrr_error *t(brrr_app *a) { int n; BRRR_TRY(brrr_read(brrr_null(), &n)); return brrr_return(a, n); }\nBRRR_WORKER(BRRR_TASK(t))\n' >"$OUT/bad.c"
refused "BRRR_TRY takes a brrr_error *"
say "the C SDK is fine"

#!/usr/bin/env bash
# The C++ SDK's tests, natively, under the sanitizers.
. "$(dirname "$0")/../lib.sh"

"$ROOT/scripts/setup/c.sh"
C=$ROOT/guests/c CPP=$ROOT/guests/cpp
OUT=$BUILD/cpp-test
rm -rf "$OUT"
mkdir -p "$OUT"
FLAGS=(-g -O1 -Wall -Wextra -Werror "-fsanitize=address,undefined" -fno-sanitize-recover=all -I"$C/sdk/include" -I"$C/sdk/testing")
# Nothing is freed before the run ends: that is the design.
export ASAN_OPTIONS=detect_leaks=0

say "the C++ SDK"
for file in "$C"/sdk/src/{call,error,memory,number,options,parse,request,task,url,value,wait,write}.c "$C/sdk/testing/testing.c"; do
  cc -std=gnu11 "${FLAGS[@]}" -c "$file" -o "$OUT/$(basename "$file" .c).c.o"
done
# One after the other: a compiler takes much memory here, and CI has two cores for all.
for file in "$CPP"/conformance/*.cpp "$CPP/tests/handlers.cpp"; do
  c++ -std=c++23 -fno-exceptions -fno-rtti "${FLAGS[@]}" -Wno-unknown-pragmas -Wno-infinite-recursion -I"$CPP/sdk/include" \
    -c "$file" -o "$OUT/$(basename "$file" .cpp).o"
done
c++ "${FLAGS[@]}" "$OUT"/*.o -o "$OUT/handlers"
"$OUT/handlers" >"$OUT/handlers.log" 2>&1 || { cat "$OUT/handlers.log" >&2; exit 1; }
tail -n 1 "$OUT/handlers.log" >&2
grep -qFx 'info: with fields a=1 b=two' "$OUT/handlers.log" || die "the log lacks a message with fields"

# Mistakes are errors of the compiler, with words that say what is wrong.
refused() {
  local wanted=$1
  printf '#include <brrr.hpp>\n%s\n' "$2" >"$OUT/bad.cpp"
  if c++ -std=c++23 -fno-exceptions -fsyntax-only -I"$C/sdk/include" -I"$CPP/sdk/include" "$OUT/bad.cpp" 2>"$OUT/bad.log"; then
    die "this compiles: $2"
  fi
  grep -q "$wanted" "$OUT/bad.log" || die "the compiler says: $(cat "$OUT/bad.log")"
}
refused every_parameter_needs_a_name \
  'int t(int a, int) { return a; } constexpr brrr::Task<t> task{"t", {"a"}};'
refused 'BRRR_TRY takes a brrr::Result; of a call write' \
  'brrr::Result<int> t() { return BRRR_TRY(brrr::call<int>("x")); }'
refused 'BRRR_TRY takes a brrr::Result' 'brrr::Result<int> t() { return BRRR_TRY(std::optional<int>(1)); }'
refused 'BRRR_FIELDS takes up to 64 fields' \
  "struct T { int f0; }; BRRR_FIELDS(T, $(seq -s ', ' -f 'f%g' 0 64)) brrr_json *j = brrr::to_json(T{});"
refused OnlyInAFunctionThatReturnsAResult 'int t() { return BRRR_TRY(brrr::call<int>("x").await()); }'
say "the C++ SDK is fine"

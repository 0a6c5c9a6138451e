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
for file in "$C"/sdk/src/{call,memory,number,parse,request,sha256,task,url,value,write}.c "$C/sdk/testing/testing.c"; do
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

# A parameter without a name is an error of the compiler.
printf '#include <brrr.hpp>\nint t(int a, int) { return a; }\nconstexpr brrr::Task<t> task{"t", {"a"}};\n' >"$OUT/bad.cpp"
if c++ -std=c++23 -fno-exceptions -fsyntax-only -I"$C/sdk/include" -I"$CPP/sdk/include" "$OUT/bad.cpp" 2>"$OUT/bad.log"; then
  die "a task with a nameless parameter compiles"
fi
grep -q every_parameter_needs_a_name "$OUT/bad.log" || die "the compiler says: $(cat "$OUT/bad.log")"
say "the C++ SDK is fine"

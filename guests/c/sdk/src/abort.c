/* The ends of a run that gives up. Of a component only. */
#include <stdint.h>
#include <stdlib.h>

#include "internal.h"

/* In place of the C library's, which would lose a line that has no end yet. The C++ library writes such a line before it
 * calls this: it says what it would have thrown. */
_Noreturn void abort(void) {
    brrr_last_words();
    __builtin_trap();
}

/* Debian's builtins for wasm, which std::format needs, are compiled with a protector of the stack, and its C library has
 * none. Weak: that of wasi-sdk has one. */
__attribute__((weak)) uintptr_t __stack_chk_guard = 0x0badcafe;

_Noreturn void __stack_chk_fail(void);
__attribute__((weak)) _Noreturn void __stack_chk_fail(void) {
    brrr_panic("a function wrote beyond the end of an array of its own");
}

/* Floats as Python writes them: the fewest digits that read back as the same float. */
#include <stdio.h>

#include "internal.h"

/* Enough for "-d.dddddddddddddddde-308" and its end. */
enum { SCIENTIFIC = 32 };

/* d.ddde±dd with the fewest digits. */
static void shortest(double value, char text[SCIENTIFIC]) {
    // Every decimal of up to 15 digits survives the way to a normal float and back, so with 15 any shorter one shows,
    // with zeros behind it. Below the normal floats there are fewer digits to have.
    int digits = value < 0x1p-1022 ? 1 : 15;
    for (; digits < 17; digits++) {
        snprintf(text, SCIENTIFIC, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) return;
        // A power of two is nearer to the float below it than to the one above. So the nearest decimal may be too far
        // below while the next one above is not.
        char *last = strchr(text, 'e') - 1;
        if (*last < '9' && *last != '.') {
            ++*last;
            if (strtod(text, NULL) == value) return;
        }
    }
    snprintf(text, SCIENTIFIC, "%.16e", value);
}

void brrr_write_double(buffer *out, double value) {
    if (__builtin_signbit(value)) {
        brrr_put_char(out, '-');
        value = -value;
    }
    char text[SCIENTIFIC], digits[SCIENTIFIC];
    shortest(value, text);
    const char *mark = strchr(text, 'e');
    int exponent = atoi(mark + 1), count = 0;
    for (const char *at = text; at < mark; at++) {
        if (*at != '.') digits[count++] = *at;
    }
    while (count > 1 && digits[count - 1] == '0') count--;

    if (exponent >= -4 && exponent < 16) {
        if (exponent < 0) brrr_put(out, "0.000", (size_t)(1 - exponent));
        for (int i = 0; i < count || i <= exponent; i++) {
            if (i == exponent + 1 && i > 0) brrr_put_char(out, '.');
            brrr_put_char(out, i < count ? digits[i] : '0');
        }
        if (count <= exponent + 1) brrr_put(out, ".0", 2);
        return;
    }
    brrr_put_char(out, digits[0]);
    if (count > 1) {
        brrr_put_char(out, '.');
        brrr_put(out, digits + 1, (size_t)count - 1);
    }
    // Like Python's, C's exponent has a sign and two digits at least.
    brrr_put(out, mark, strlen(mark));
}

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

// The bytes that follow a lead byte, or -1 for a byte that cannot lead.
static int bytes_after(uint8_t lead) {
    if (lead < 0x80) {
        return 0;
    }
    if (lead < 0xC0 || lead >= 0xF8) {
        return -1;
    }
    return lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
}

static bool is_utf8(const char *text, size_t length) {
    size_t i = 0;
    while (i < length) {
        int after = bytes_after((uint8_t)text[i++]);
        if (after < 0) {
            return false;
        }
        for (; after > 0; after--, i++) {
            if (i == length || ((uint8_t)text[i] & 0xC0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

size_t otafleet_text_copy(const char *field, size_t capacity, char *out) {
    size_t length = 0;
    while (length < capacity && field[length] != '\0') {
        length++;
    }
    bool as_it_is = is_utf8(field, length);
    for (size_t i = 0; i < length; i++) {
        out[i] = as_it_is || (uint8_t)field[i] < 0x80 ? field[i] : '?';
    }
    return length;
}

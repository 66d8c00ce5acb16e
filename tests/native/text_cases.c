#include "text.h"

#include <string.h>

#include "cases.h"

static char out[32];

static size_t copy(const char *field, size_t capacity) {
    memset(out, '#', sizeof(out));
    return otafleet_text_copy(field, capacity, out);
}

CASE(a_field_ends_at_its_nul) {
    CHECK(copy("v1.2\0rest of an older text", 27) == 4);
    CHECK(memcmp(out, "v1.2#", 5) == 0);
    CHECK(copy("", 1) == 0);
}

CASE(a_field_without_a_nul_ends_where_it_ends) {
    // On its own in memory, so the sanitizer sees a byte too many.
    char field[16];
    memset(field, 'x', sizeof(field));
    CHECK(copy(field, sizeof(field)) == 16);
    CHECK(out[15] == 'x' && out[16] == '#');
}

CASE(text_in_utf_8_stays) {
    const char *text = "d\xC3\xBCr \xE2\x82\xAC \xF0\x9F\x98\x80";
    CHECK(copy(text, strlen(text) + 1) == strlen(text));
    CHECK(memcmp(out, text, strlen(text)) == 0);
}

CASE(what_is_not_utf_8_becomes_question_marks) {
    const char *broken[] = {"ab\xFF", "ab\x80", "ab\xC3", "ab\xC3q", "ab\xE2\x82", "ab\xF8\x80\x80\x80\x80"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        size_t length = strlen(broken[i]);
        CHECK(copy(broken[i], length) == length);
        CHECK(memcmp(out, "ab", 2) == 0);
        for (size_t at = 2; at < length; at++) {
            CHECK((uint8_t)broken[i][at] < 0x80 ? out[at] == broken[i][at] : out[at] == '?');
        }
    }
}

int main(void) {
    RUN(a_field_ends_at_its_nul);
    RUN(a_field_without_a_nul_ends_where_it_ends);
    RUN(text_in_utf_8_stays);
    RUN(what_is_not_utf_8_becomes_question_marks);
    return cases_failed != 0;
}

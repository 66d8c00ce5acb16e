// Text of an app descriptor: fields of fixed size that were written by whoever built the image.
#pragma once

#include <stddef.h>

// Copy a field of `capacity` bytes to `out`, which has room for as many, up to its first NUL if it has one, and return
// how many bytes of text that is. What is not UTF-8 gets a "?" for every byte above 127, so Python can hold it.
size_t otafleet_text_copy(const char *field, size_t capacity, char *out);

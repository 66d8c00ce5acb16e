// Cases of one C program: CASE(name) { CHECK(...); } and RUN(name) for each in main(). Prints one line per case; a check
// that fails ends its case and makes the program exit with 1.
#pragma once

#include <stdio.h>

#include "chip.h"
#include "handles.h"

static int cases_failed;
static const char *case_problem;

#define CASE(name) static void name(void)

#define CHECK(condition) do { \
        if (!(condition)) { \
            printf("  %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            case_problem = #condition; \
            return; \
        } \
} while (0)

#define RUN(name) do { \
        case_problem = NULL; \
        otafleet_handles_abort_all(); \
        chip_reset(); \
        name(); \
        printf("%s %s\n", case_problem == NULL ? "ok" : "FAILED", #name); \
        cases_failed += case_problem != NULL; \
} while (0)

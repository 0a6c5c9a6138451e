/* What handlers did, natively; see testing.c. Reset them as you like. */
#ifndef BRRR_TESTING_H
#define BRRR_TESTING_H

#include <stddef.h>

#include <brrr.h>

/* Batches asked for, calls in them, and runs of handlers. */
extern size_t brrr_testing_batches, brrr_testing_calls, brrr_testing_runs;

/* Answers requests: sets their status and content, or their problem. */
extern void (*brrr_testing_server)(brrr_request *request);

#endif

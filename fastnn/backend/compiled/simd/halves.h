/* bfloat16: the upper halves of float32 numbers, rounded to nearest, ties to even. */
#ifndef FASTNN_HALVES_H
#define FASTNN_HALVES_H

#include "simd.h"

#ifdef FASTNN_DOUBLE

/* Engines of float64 have no such numbers. */
INLINE vec pair_of(vec low, vec high) { (void)high; return low; }
INLINE void store_halves(real *place, vec a) { (void)place; (void)a; }

#else

#if VECTOR_BYTES > 0
typedef uint16_t half_vec __attribute__((vector_size(VECTOR_BYTES / 2), may_alias, aligned(2)));
#endif

/* Each number rounded, in the upper half of its word; the lower half is zero.  A nan becomes the
 * one that has no sign and no payload. */
INLINE uivec rounded_halves(vec a) {
    uivec bits = (uivec)as_int(a);
    uivec rounded = bits + (((bits >> 16) & 1) + 0x7fff);
    rounded = (uivec)as_int(select_(equal(a, a), as_real((ivec)rounded), splat((real)NAN)));
    return rounded & 0xffff0000u;
}

/* Words that hold `low` and `high`, rounded, in their halves. */
INLINE vec pair_of(vec low, vec high) {
    return as_real((ivec)((rounded_halves(low) >> 16) | rounded_halves(high)));
}

/* VL numbers, rounded, into VL / 2 words. */
INLINE void store_halves(real *place, vec a) {
    uivec halves = rounded_halves(a) >> 16;
#if VECTOR_BYTES > 0
    *(half_vec *)place = __builtin_convertvector(halves, half_vec);
#else
    *(uint16_t *)place = (uint16_t)halves;
#endif
}

#endif
#endif

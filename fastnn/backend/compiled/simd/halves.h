/* bfloat16: the upper halves of float32 numbers, rounded to nearest, ties to even. */
#ifndef FASTNN_HALVES_H
#define FASTNN_HALVES_H

#include "simd.h"

#if VECTOR_BYTES > 0
typedef uint16_t half_vec __attribute__((vector_size(VECTOR_BYTES / 2), may_alias, aligned(2)));
#endif

#ifdef __AVX512BF16__

/* Words that hold `low` and `high`, rounded, in their halves.  Subnormal numbers become zero. */
INLINE vec pair_of(vec low, vec high) {
    const __m512i interleave = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
        23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512bh both = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    return (vec)_mm512_permutexvar_epi16(interleave, (__m512i)both);
}

/* VL numbers, rounded, into VL / 2 words. */
INLINE void store_halves(real *place, vec a) {
    *(half_vec *)place = (half_vec)_mm512_cvtneps_pbh((__m512)a);
}

/* The words of 2 VL numbers of a row, rounded. */
INLINE vec row_of_halves(vec a, vec b) {
    return (vec)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
}

#else

/* Each number rounded, in the upper half of its word; the lower half is zero.  A nan becomes the
 * one that has no sign and no payload, and a subnormal number zero, as for the instruction. */
INLINE uivec rounded_halves(vec a) {
    uivec bits = (uivec)as_int(a);
    uivec rounded = bits + (((bits >> 16) & 1) + 0x7fff);
    rounded = (uivec)as_int(select_(equal(a, a), as_real((ivec)rounded), splat((real)NAN)));
    rounded = (uivec)as_int(select_(less(abs_(a), splat(1.17549435e-38f)), sign_bit(a),
                                    as_real((ivec)rounded)));
    return rounded & 0xffff0000u;
}

INLINE vec pair_of(vec low, vec high) {
    return as_real((ivec)((rounded_halves(low) >> 16) | rounded_halves(high)));
}

INLINE void store_halves(real *place, vec a) {
    uivec halves = rounded_halves(a) >> 16;
#if VECTOR_BYTES > 0
    *(half_vec *)place = __builtin_convertvector(halves, half_vec);
#else
    *(uint16_t *)place = (uint16_t)halves;
#endif
}

INLINE vec row_of_halves(vec a, vec b) {
    uint16_t words[2 * VL];
    store_halves((real *)words, a);
    store_halves((real *)(words + VL), b);
    return load((real *)words);
}

#endif

/* Words that have the lower halves of `low` and the upper ones of `high`, whose others are zero. */
INLINE vec merged(vec low, vec high) {
    return as_real((as_int(low) & isplat(0xffff)) | as_int(high));
}

#endif

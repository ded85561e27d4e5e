/* Numbers rounded to whole ones of eight bits, and back from their sums. */
#ifndef FASTNN_OCTETS_H
#define FASTNN_OCTETS_H

#include "simd.h"

INLINE int32_t word_of(const real *place) { int32_t w; memcpy(&w, place, sizeof w); return w; }
INLINE void put_word(real *place, int32_t w) { memcpy(place, &w, sizeof w); }

#ifdef FASTNN_DOUBLE

/* Engines of float64 have no such numbers. */
INLINE void store_bytes(real *place, vec a, ireal zero) { (void)place; (void)a; (void)zero; }
INLINE vec of_sums(vec sums, vec columns, ireal zero) { (void)columns; (void)zero; return sums; }

#else

#if VECTOR_BYTES > 0
typedef uint8_t byte_vec __attribute__((vector_size(VECTOR_BYTES / 4), may_alias, aligned(1)));
#endif

/* Each number rounded, ties to even, plus `zero`, into VL bytes: VL / 4 words. */
INLINE void store_bytes(real *place, vec a, ireal zero) {
    ivec whole = as_int(a + splat(SHIFTER)) + isplat(zero);
#if VECTOR_BYTES == 64
    _mm_storeu_si128((__m128i *)place, _mm512_cvtepi32_epi8((__m512i)whole));
#elif VECTOR_BYTES > 0
    *(byte_vec *)place = __builtin_convertvector((uivec)whole, byte_vec);
#else
    *(uint8_t *)place = (uint8_t)whole;
#endif
}

/* The sums of 32 bits without what `zero` added to each product, as numbers. */
INLINE vec of_sums(vec sums, vec columns, ireal zero) {
    ivec total = as_int(sums) - as_int(columns) * isplat(zero);
#if VECTOR_BYTES > 0
    return __builtin_convertvector(total, vec);
#else
    return (real)total;
#endif
}

#endif
#endif

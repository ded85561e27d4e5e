/* Vectors of 32-bit words for the dropout generator, at the native length of the build. */
#ifndef FASTNN_THREEFRY_H
#define FASTNN_THREEFRY_H

#include "simd.h"

#if VECTOR_BYTES > 0
#define WORDS (VECTOR_BYTES / 4)
typedef uint32_t words __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint32_t unaligned_words
    __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(4)));
INLINE words load_words(const uint32_t *p) { return *(const unaligned_words *)p; }
INLINE void store_words(uint32_t *p, words w) { *(unaligned_words *)p = w; }
INLINE words splat_word(uint32_t s) { return s - (words){0}; }
#else
#define WORDS 1
typedef uint32_t words;
INLINE words load_words(const uint32_t *p) { return *p; }
INLINE void store_words(uint32_t *p, words w) { *p = w; }
INLINE words splat_word(uint32_t s) { return s; }
#endif

/* n from 1 to 31 */
INLINE words rotate_left(words w, int n) { return (w << n) | (w >> (32 - n)); }

/* first, first + 1, first + 2, ... */
INLINE words count_from(uint32_t first) {
    static const uint32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return load_words(numbers) + splat_word(first);
}

/* Lanes whose word is at least `threshold`; one word for each lane of a vec. */
INLINE mask words_reach(const uint32_t *p, uint32_t threshold) {
#if VECTOR_BYTES == 64 && defined(FASTNN_DOUBLE)
    return _mm256_cmpge_epu32_mask(_mm256_loadu_si256((const __m256i *)p),
                                   _mm256_set1_epi32((int)threshold));
#elif VECTOR_BYTES == 64
    return _mm512_cmpge_epu32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32((int)threshold));
#elif VECTOR_BYTES > 0
    ivec reached;
    for (ireal i = 0; i < VL; i++) reached[i] = -(ireal)(p[i] >= threshold);
    return reached;
#else
    return -(ireal)(*p >= threshold);
#endif
}

#endif

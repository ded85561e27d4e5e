/* Across the lanes of vectors: sums and maxima of blocks, partial loads, lane numbers,
 * transposition.
 *
 * Rows are worked on in blocks of 16 elements, VECTORS vectors of VL lanes.  A
 * horizontal sum adds 16 lane totals in one fixed tree (j and j ^ 8, then ^ 4, ^ 2, ^ 1),
 * so its bits do not depend on the vector length of the build.
 */
#ifndef FASTNN_LANES_H
#define FASTNN_LANES_H

#include "simd.h"

#define BLOCK 16
#define VECTORS (BLOCK / VL)
/* Vectors worked on together, so that their instructions fill each other's waiting times. */
#define COMPANY (VECTORS > 4 ? VECTORS : 4)

#if VECTOR_BYTES == 0
#define EXCHANGED(v, d) (v)
#define MERGED(rule, a, b, d) (a)
#else
#ifdef FASTNN_DOUBLE
#define LANE_BYTES 8
#else
#define LANE_BYTES 4
#endif
/* The lane numbers rule(0, d), rule(1, d), ...; d is a literal, so that one shuffle does it. */
#define LIST_2(rule, i, d) rule(i, d), rule((i) + 1, d)
#define LIST_4(rule, i, d) LIST_2(rule, i, d), LIST_2(rule, (i) + 2, d)
#define LIST_8(rule, i, d) LIST_4(rule, i, d), LIST_4(rule, (i) + 4, d)
#if VECTOR_BYTES / LANE_BYTES == 16
#define LIST(rule, d) LIST_8(rule, 0, d), LIST_8(rule, 8, d)
#elif VECTOR_BYTES / LANE_BYTES == 8
#define LIST(rule, d) LIST_8(rule, 0, d)
#elif VECTOR_BYTES / LANE_BYTES == 4
#define LIST(rule, d) LIST_4(rule, 0, d)
#else
#define LIST(rule, d) LIST_2(rule, 0, d)
#endif
/* Lane i of a vector is lane PARTNER(i, d) of itself, or one of the 2 VL lanes of a and b. */
#define PARTNER(i, d) (((i) ^ (d)) % VL)
#define LOWER(i, d) (((i) & (d)) ? VL + (((i) - (d)) % VL) : (i))
#define UPPER(i, d) (((i) & (d)) ? VL + (i) : (((i) + (d)) % VL))
#ifdef __clang__
#define EXCHANGED(v, d) __builtin_shufflevector(v, v, LIST(PARTNER, d))
#define MERGED(rule, a, b, d) __builtin_shufflevector(a, b, LIST(rule, d))
#else
#define EXCHANGED(v, d) __builtin_shuffle(v, (ivec){LIST(PARTNER, d)})
#define MERGED(rule, a, b, d) __builtin_shuffle(a, b, (ivec){LIST(rule, d)})
#endif
#endif

INLINE real sum_lanes(vec v) {
    if (VL >= 16) v = v + EXCHANGED(v, 8);
    if (VL >= 8) v = v + EXCHANGED(v, 4);
    if (VL >= 4) v = v + EXCHANGED(v, 2);
    if (VL >= 2) v = v + EXCHANGED(v, 1);
    return lane(v, 0);
}

INLINE real max_lanes(vec v) {
    if (VL >= 16) v = at_least(v, EXCHANGED(v, 8));
    if (VL >= 8) v = at_least(v, EXCHANGED(v, 4));
    if (VL >= 4) v = at_least(v, EXCHANGED(v, 2));
    if (VL >= 2) v = at_least(v, EXCHANGED(v, 1));
    return lane(v, 0);
}

/* Exchanges the blocks of d by d above and below the diagonals of the blocks of 2 d by 2 d. */
#define EXCHANGE_BLOCKS(t, d) \
    UNROLL \
    for (int i = 0; i < VL; i++) { \
        if (i & (d)) continue; \
        const vec upper = (t)[i], lower = (t)[i + (d)]; \
        (t)[i] = MERGED(LOWER, upper, lower, d); \
        (t)[i + (d)] = MERGED(UPPER, upper, lower, d); \
    }

/* Lane j of vector i becomes lane i of vector j, for VL vectors. */
INLINE void transpose(vec *t) {
#if VECTOR_BYTES > 0
    if (VL >= 16) { EXCHANGE_BLOCKS(t, 8) }
    if (VL >= 8) { EXCHANGE_BLOCKS(t, 4) }
    if (VL >= 4) { EXCHANGE_BLOCKS(t, 2) }
    if (VL >= 2) { EXCHANGE_BLOCKS(t, 1) }
#else
    (void)t;
#endif
}

/* The first n elements at p (n may be 0 or less), `fill` in the other lanes, which are not read. */
INLINE vec load_part_or(const real *p, int n, real fill) {
    n = n > 0 ? n : 0;
#if VECTOR_BYTES == 64
    return (vec)X86(mask_loadu)((native)splat(fill), first_lanes(n), p);
#elif VECTOR_BYTES == 32 && defined(X86)
    const __m256i lanes = first_lanes(n);
    return select_((mask)lanes, (vec)X86(maskload)(p, lanes), splat(fill));
#else
    real b[VL];
    for (int i = 0; i < VL; i++) b[i] = i < n ? p[i] : fill;
    return load(b);
#endif
}

/* first, first + 1, first + 2, ...; the last of them below 16 */
INLINE vec lane_numbers(int first) {
    static const real numbers[BLOCK] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return load(numbers + first);
}

#endif

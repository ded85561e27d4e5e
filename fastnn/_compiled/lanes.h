/* Across the lanes of vectors: sums and maxima of blocks, partial loads, lane numbers.
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

#if VECTOR_BYTES == 0
#define EXCHANGED(v, d) (v)
#else
#ifdef FASTNN_DOUBLE
#define LANE_BYTES 8
#else
#define LANE_BYTES 4
#endif
/* Lane i of EXCHANGED(v, d) is lane i ^ d of v; d is a literal, so that one shuffle does it. */
#define LANE(i, d) (((i) ^ (d)) % VL)
#define LANES_2(i, d) LANE(i, d), LANE((i) + 1, d)
#define LANES_4(i, d) LANES_2(i, d), LANES_2((i) + 2, d)
#define LANES_8(i, d) LANES_4(i, d), LANES_4((i) + 4, d)
#if VECTOR_BYTES / LANE_BYTES == 16
#define LANES(d) LANES_8(0, d), LANES_8(8, d)
#elif VECTOR_BYTES / LANE_BYTES == 8
#define LANES(d) LANES_8(0, d)
#elif VECTOR_BYTES / LANE_BYTES == 4
#define LANES(d) LANES_4(0, d)
#else
#define LANES(d) LANES_2(0, d)
#endif
#ifdef __clang__
#define EXCHANGED(v, d) __builtin_shufflevector(v, v, LANES(d))
#else
#define EXCHANGED(v, d) __builtin_shuffle(v, (ivec){LANES(d)})
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

/* The words that a product multiplies, and how: the one place that knows the instructions.
 *
 * A unit is compiled for one kind, which FASTNN_WORDS names:
 *
 *   kind      a word                       sum       instruction           chain of a sum
 *   NUMBERS   a `real`                     real      multiply-add          in order of k
 *   PAIRS     two bfloat16                 float32   AVX512_BF16           odd k, then even k
 *
 * AMX (tdpbf16ps) and Arm (bfmmla) would be further rows.  They multiply blocks of 16 x 16 and
 * 2 x 2 elements of C, so that their words are packed along k by 2 and by 4 for several columns
 * at a time; bfmmla rounds the sum of a pair once, so that it has a chain of its own.
 */
#ifndef FASTNN_WORDS_H
#define FASTNN_WORDS_H

#include "simd.h"

#define WORDS_NUMBERS 0
#define WORDS_PAIRS 1
#ifndef FASTNN_WORDS
#define FASTNN_WORDS WORDS_NUMBERS
#endif

#if FASTNN_WORDS == WORDS_NUMBERS

#define WORDS_FLUSH 0
INLINE vec multiply_add(vec a, vec b, vec c) { return fma_(a, b, c); }

#elif defined(__AVX512BF16__)

/* c + a[odd] b[odd] rounded, + a[even] b[even] rounded: subnormal numbers are zero in operands
 * and results, in every mode of the processor. */
#define WORDS_FLUSH 0
INLINE vec multiply_add(vec a, vec b, vec c) {
    return (vec)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
}

#else

/* The same bits: a product of two bfloat16 has 16 bits and is exact wherever it is computed.
 * The caller sets the processor to flush subnormal numbers; others are flushed here. */
#ifdef __SSE2__
#define WORDS_FLUSH 1
INLINE vec flushed(vec a) { return a; }
#else
#define WORDS_FLUSH 0
INLINE vec flushed(vec a) {
    return select_(less(abs_(a), splat(1.17549435e-38f)), sign_bit(a), a);
}
#endif

INLINE vec even_half(vec a) { return flushed(as_real((ivec)((uivec)as_int(a) << 16))); }
INLINE vec odd_half(vec a) { return flushed(as_real(as_int(a) & isplat((ireal)0xffff0000))); }

/* a b + c of numbers with 8, 8 and 24 bits, rounded once.  Without the instruction the sum is a
 * double: where that is not exact, one term is below a quarter of the other's last place in
 * float32, so that both roundings give the other. */
INLINE vec fused_half(vec a, vec b, vec c) {
#if HAS_FMA
    return flushed(fma_(a, b, c));
#else
    float x[VL], y[VL], z[VL];
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y), memcpy(z, &c, sizeof z);
    for (int i = 0; i < VL; i++) z[i] = (float)((double)x[i] * y[i] + z[i]);
    return flushed(load(z));
#endif
}

INLINE vec multiply_add(vec a, vec b, vec c) {
    c = fused_half(odd_half(a), odd_half(b), flushed(c));
    return fused_half(even_half(a), even_half(b), c);
}

#endif
#endif

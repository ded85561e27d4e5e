/* The words that a product multiplies, and how: the one place that knows the instructions.
 *
 * A unit is compiled for one kind, which FASTNN_WORDS names:
 *
 *   kind      a word                       sum       instruction           chain of a sum
 *   NUMBERS   a `real`                     real      multiply-add          in order of k
 *   PAIRS     two bfloat16                 float32   AVX512_BF16           odd k, then even k
 *   QUADS     four bytes                   int32     AVX512_VNNI           exact, in any order
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
#define WORDS_QUADS 2
#ifndef FASTNN_WORDS
#define FASTNN_WORDS WORDS_NUMBERS
#endif

#if FASTNN_WORDS == WORDS_NUMBERS

#define WORDS_FLUSH 0
INLINE vec multiply_add(vec a, vec b, vec c) { return fma_(a, b, c); }

#elif FASTNN_WORDS == WORDS_QUADS

/* c + the sum of four products of a byte of `a`, from 0 to 255, and one of `b`, from -128 to 127:
 * integers of 32 bits in the bits of vectors. */
#define WORDS_FLUSH 0
#if defined(__AVX512VNNI__)
INLINE vec multiply_add(vec a, vec b, vec c) {
    return (vec)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b);
}
#elif defined(X86)
/* Bytes 0 and 2, and bytes 1 and 3, as pairs of 16 bits, whose products are summed exactly. */
typedef int16_t short_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
#if VECTOR_BYTES == 64
INLINE ivec sum_pairs(ivec a, ivec b) {
    return (ivec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
#elif VECTOR_BYTES == 32
INLINE ivec sum_pairs(ivec a, ivec b) {
    return (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
#else
INLINE ivec sum_pairs(ivec a, ivec b) { return (ivec)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#endif
INLINE vec multiply_add(vec a, vec b, vec c) {
    const ivec low = isplat(0x00ff00ff);
    ivec even = sum_pairs(as_int(a) & low, (ivec)((short_vec)b << 8 >> 8));
    ivec odd = sum_pairs((ivec)((uivec)as_int(a) >> 8) & low, (ivec)((short_vec)b >> 8));
    return as_real(as_int(c) + (even + odd));
}
#else
INLINE vec multiply_add(vec a, vec b, vec c) {
    const ivec byte = isplat(255);
    ivec x = as_int(a), y = as_int(b), total = as_int(c);
    for (int i = 0; i < 32; i += 8) {
        total += (x >> i & byte) * ((ivec)((uivec)y << (24 - i)) >> 24);
    }
    return as_real(total);
}
#endif

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

/* Vectors of one element type at the native length of the build.
 *
 * The one place where fastnn talks to the processor.  FASTNN_DOUBLE selects the
 * element type `real`; the instruction set the file is compiled for selects the
 * length.  Everything the rest of the compiled core needs is a small inline
 * function on `vec` (VL elements), `ivec` (integers of the same width) and
 * `mask` (one truth value per lane; its representation differs between builds).
 * Without GNU vectors VL is 1.
 *
 * Contraction of a*b+c is switched off for the whole build, so that rounding is
 * what the source says: `fma_` is fused where the instruction set has it, and is
 * a multiplication and an addition elsewhere (x86-64-v2).
 */
#ifndef FASTNN_SIMD_H
#define FASTNN_SIMD_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <assert.h>

#ifdef FASTNN_DOUBLE
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define HALF_MANTISSA 27
#define R_(x) x
#else
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define HALF_MANTISSA 12
#define R_(x) x##f
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define ALIGNED __attribute__((aligned(64))) /* to lines of the cache */
#define APART __attribute__((noinline)) /* one copy of the code for all callers */
#else
#define APART
#define INLINE static inline
#define UNROLL
#define ALIGNED
#endif

#if !defined(VECTOR_BYTES)
#if !defined(__GNUC__)
#define VECTOR_BYTES 0
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif

#if VECTOR_BYTES > 0
/* ------------------------------------------------------------ GNU vectors */
#define VL (VECTOR_BYTES / (int)sizeof(real))
typedef real vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef real uvec __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(real))));
typedef ireal ivec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef ureal uivec __attribute__((vector_size(VECTOR_BYTES), may_alias));

/* X86(name)(...) is the intrinsic of the build's length and element type. */
#if defined(__x86_64__) && (defined(__SSE4_1__) || VECTOR_BYTES > 16)
#include <immintrin.h>
#define X86_JOIN_(prefix, name, suffix) prefix##name##suffix
#define X86_JOIN(prefix, name, suffix) X86_JOIN_(prefix, name, suffix)
#ifdef FASTNN_DOUBLE
#define X86_SUFFIX _pd
#else
#define X86_SUFFIX _ps
#endif
#if VECTOR_BYTES == 64
#define X86_PREFIX _mm512_
#elif VECTOR_BYTES == 32
#define X86_PREFIX _mm256_
#else
#define X86_PREFIX _mm_
#endif
#define X86(name) X86_JOIN(X86_PREFIX, name, X86_SUFFIX)
#if VECTOR_BYTES == 64 && defined(FASTNN_DOUBLE)
typedef __m512d native;
#elif VECTOR_BYTES == 64
typedef __m512 native;
#elif VECTOR_BYTES == 32 && defined(FASTNN_DOUBLE)
typedef __m256d native;
#elif VECTOR_BYTES == 32
typedef __m256 native;
#elif defined(FASTNN_DOUBLE)
typedef __m128d native;
#else
typedef __m128 native;
#endif
#endif

INLINE vec load(const real *p) { return *(const uvec *)p; }
INLINE void store(real *p, vec v) { *(uvec *)p = v; }
INLINE vec splat(real s) { return s - (vec){0}; }
INLINE real lane(vec v, int i) { return v[i]; }
INLINE ivec as_int(vec v) { return (ivec)v; }
INLINE vec as_real(ivec v) { return (vec)v; }
INLINE ivec isplat(ireal s) { return s - (ivec){0}; }

/* ARM(name)(...) is NEON's; its vectors are GNU's. */
#if defined(__aarch64__) && VECTOR_BYTES == 16
#include <arm_neon.h>
#define ARM_JOIN_(name, suffix) name##suffix
#define ARM_JOIN(name, suffix) ARM_JOIN_(name, suffix)
#ifdef FASTNN_DOUBLE
#define ARM(name) ARM_JOIN(name, _f64)
typedef float64x2_t native;
#else
#define ARM(name) ARM_JOIN(name, _f32)
typedef float32x4_t native;
#endif
#endif

#if VECTOR_BYTES == 64
/* AVX-512 keeps truth values in mask registers, one bit per lane. */
#ifdef FASTNN_DOUBLE
typedef __mmask8 mask;
#else
typedef __mmask16 mask;
#endif
#define COMPARE(a, b, how) X86_JOIN(X86(cmp), _mask, )((native)(a), (native)(b), how)
INLINE mask less(vec a, vec b) { return COMPARE(a, b, _CMP_LT_OQ); }
INLINE mask less_equal(vec a, vec b) { return COMPARE(a, b, _CMP_LE_OQ); }
INLINE mask equal(vec a, vec b) { return COMPARE(a, b, _CMP_EQ_OQ); }
INLINE vec select_(mask m, vec a, vec b) {
    return (vec)X86(mask_blend)(m, (native)b, (native)a);
}
INLINE int any(mask m) { return m != 0; }
#else
typedef ivec mask;
INLINE mask less(vec a, vec b) { return a < b; }
INLINE mask less_equal(vec a, vec b) { return a <= b; }
INLINE mask equal(vec a, vec b) { return a == b; }
#ifdef X86
INLINE vec select_(mask m, vec a, vec b) {
    return (vec)X86(blendv)((native)b, (native)a, (native)m);
}
INLINE int any(mask m) { return X86(movemask)((native)m) != 0; }
#elif defined(ARM)
INLINE vec select_(mask m, vec a, vec b) { return (vec)((m & (ivec)a) | (~m & (ivec)b)); }
INLINE int any(mask m) { return vmaxvq_u32((uint32x4_t)m) != 0; }
#else
INLINE vec select_(mask m, vec a, vec b) { return (vec)((m & (ivec)a) | (~m & (ivec)b)); }
INLINE int any(mask m) {
    ireal r = 0;
    for (int i = 0; i < VL; i++) r |= m[i];
    return r != 0;
}
#endif
#endif

#ifdef X86
/* minps and maxps return their second operand when either is a nan. */
INLINE vec at_most(vec a, vec bound) { return (vec)X86(min)((native)bound, (native)a); }
INLINE vec at_least(vec a, vec bound) { return (vec)X86(max)((native)bound, (native)a); }
INLINE vec sqrt_(vec a) { return (vec)X86(sqrt)((native)a); }
#else
INLINE vec at_most(vec a, vec bound) { return select_(bound < a, bound, a); }
INLINE vec at_least(vec a, vec bound) { return select_(a < bound, bound, a); }
#ifdef ARM
INLINE vec sqrt_(vec a) { return (vec)ARM(vsqrtq)((native)a); }
#else
INLINE vec sqrt_(vec a) {
    vec r;
    for (int i = 0; i < VL; i++) r[i] = (real)sqrt(a[i]);
    return r;
}
#endif
#endif

#if defined(X86) && defined(__FMA__)
#define HAS_FMA 1
INLINE vec fma_(vec a, vec b, vec c) { return (vec)X86(fmadd)((native)a, (native)b, (native)c); }
#elif defined(ARM)
#define HAS_FMA 1
INLINE vec fma_(vec a, vec b, vec c) { return (vec)ARM(vfmaq)((native)c, (native)a, (native)b); }
#endif

#else
/* --------------------------------------------------------- one element */
#define VL 1
typedef real vec;
typedef ireal ivec;
typedef ureal uivec;
typedef ireal mask;

INLINE vec load(const real *p) { return *p; }
INLINE void store(real *p, vec v) { *p = v; }
INLINE vec splat(real s) { return s; }
INLINE real lane(vec v, int i) { (void)i; return v; }
INLINE ivec as_int(vec v) { ivec r; memcpy(&r, &v, sizeof r); return r; }
INLINE vec as_real(ivec v) { vec r; memcpy(&r, &v, sizeof r); return r; }
INLINE ivec isplat(ireal s) { return s; }
INLINE mask less(vec a, vec b) { return -(ireal)(a < b); }
INLINE mask less_equal(vec a, vec b) { return -(ireal)(a <= b); }
INLINE mask equal(vec a, vec b) { return -(ireal)(a == b); }
INLINE vec select_(mask m, vec a, vec b) { return m ? a : b; }
INLINE int any(mask m) { return m != 0; }
INLINE vec at_most(vec a, vec bound) { return bound < a ? bound : a; }
INLINE vec at_least(vec a, vec bound) { return a < bound ? bound : a; }
INLINE vec sqrt_(vec a) { return (real)sqrt(a); }
#endif

/* ------------------------------------------- the same for every length */

#ifndef HAS_FMA
#define HAS_FMA 0
INLINE vec fma_(vec a, vec b, vec c) { return a * b + c; }
#endif

/* a + b where m holds, a elsewhere; a is not -0. */
INLINE vec add_where(mask m, vec a, vec b) {
#if VECTOR_BYTES == 64
    return (vec)X86(mask_add)((native)a, m, (native)a, (native)b);
#else
    return a + select_(m, b, splat(0));
#endif
}

/* The line of p into the first cache, if p can be read; no error if not. */
INLINE void prefetch(const real *p) {
#ifdef __GNUC__
    __builtin_prefetch(p, 0, 3);
#else
    (void)p;
#endif
}

#define SIGN_BIT ((ireal)((ureal)1 << (8 * sizeof(real) - 1)))

/* at_most and at_least keep a nan in `a`: the comparison is then false. */
INLINE vec abs_(vec a) { return as_real(as_int(a) & isplat(~SIGN_BIT)); }
INLINE vec sign_bit(vec a) { return as_real(as_int(a) & isplat(SIGN_BIT)); }
/* magnitude is not negative. */
INLINE vec with_sign(vec magnitude, vec sign) {
    return as_real(as_int(magnitude) | as_int(sign_bit(sign)));
}
#if VECTOR_BYTES == 64
INLINE vec copy_sign(vec a, vec sign) { /* bit by bit, 0xCA is "first ? second : third" */
    return (vec)_mm512_ternarylogic_epi32((__m512i)isplat(SIGN_BIT), (__m512i)sign, (__m512i)a,
                                          0xCA);
}
#else
INLINE vec copy_sign(vec a, vec sign) { return with_sign(abs_(a), sign); }
#endif
INLINE mask both(mask a, mask b) { return (mask)(a & b); }
INLINE mask not_(mask a) { return (mask)~a; }

/* Adding SHIFTER to a small number rounds it to a whole one, which then stands in
 * the low bits of the sum. */
#define SHIFTER (R_(1.5) * (real)((ureal)1 << MANTISSA_BITS))
INLINE vec round_(vec a) { return (a + SHIFTER) - SHIFTER; }

/* 2**(n + shift) for whole numbers whose sum is in the normal range. */
INLINE vec shifted_power_of_two(vec n, real shift) {
    vec biased = n + (SHIFTER + EXPONENT_BIAS + shift);
    return as_real((ivec)((uivec)as_int(biased) << MANTISSA_BITS));
}
INLINE vec power_of_two(vec n) { return shifted_power_of_two(n, 0); }

/* a * 2**n for whole |n| <= 2 * EXPONENT_BIAS - 2, rounded once, also into the
 * subnormal range (a itself not much below 1). */
INLINE vec scale(vec a, vec n) {
#if VECTOR_BYTES == 64
    return (vec)X86(scalef)((native)a, (native)n);
#else
    vec half = round_(n * R_(0.5));
    return a * power_of_two(half) * power_of_two(n - half);
#endif
}

/* a * 2**n for whole n <= 0, rounded once; a about 1. */
INLINE vec scale_down(vec a, vec n) {
#if VECTOR_BYTES == 64
    return scale(a, n);
#else
    const real lift = (EXPONENT_BIAS + 1) / 2;
    n = at_least(n, splat(1 - EXPONENT_BIAS - lift));
    return a * shifted_power_of_two(n, lift) * power_of_two(splat(-lift));
#endif
}

/* a * 2**n for whole n in the range of exponents, exact where the result is normal. */
INLINE vec times_power_of_two(vec a, vec n) {
#if VECTOR_BYTES == 64
    return scale(a, n);
#else
    return a * power_of_two(n);
#endif
}

/* x = 2**e * m with m in [sqrt(1/2), sqrt(2)), for positive finite x. */
#define LEAST_MANTISSA R_(0.70710678118654752)
#if VECTOR_BYTES == 64
INLINE vec split_exponent(vec x, vec *e) {
    const vec one = splat(1);
    vec m = (vec)X86(getmant)((native)x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero);
    vec whole = (vec)X86(getexp)((native)x);
    mask halved = less_equal(splat(2 * LEAST_MANTISSA), m);
    *e = (vec)X86(mask_add)((native)whole, halved, (native)whole, (native)one);
    return (vec)X86(mask_mul)((native)m, halved, (native)m, (native)splat(R_(0.5)));
}
#else
INLINE vec split_exponent(vec x, vec *e) {
    const uivec base = (uivec)as_int(splat(LEAST_MANTISSA));
    const real whole = (real)((ureal)1 << MANTISSA_BITS); /* its low bits hold whole numbers */
    vec lift = select_(less(x, power_of_two(splat(1 - EXPONENT_BIAS))),
                       splat(MANTISSA_BITS + 1), splat(0)); /* of subnormal numbers */
    uivec shifted = (uivec)as_int(x * power_of_two(lift)) + ((uivec)as_int(splat(1)) - base);
    *e = as_real((ivec)(shifted >> MANTISSA_BITS) | as_int(splat(whole)))
       - (whole + EXPONENT_BIAS) - lift;
    return as_real((ivec)((shifted & (((ureal)1 << MANTISSA_BITS) - 1)) + base));
}
#endif

/* `result` with the values of log(x) at 0, infinity, nan and below 0 put in. */
INLINE vec log_limits(vec x, vec result) {
#if VECTOR_BYTES == 64
    /* A digit for each class of x, from the right: quiet and signalling nan, 0, 1, -infinity,
     * infinity, negative, positive.  0 keeps the result, 2 gives x as a quiet nan, 3 the nan
     * of invalid operations, 4 -infinity, 5 infinity. */
    const ivec values = isplat(0x03530422);
    return (vec)X86(fixupimm)((native)result, (native)x, (__m512i)values, 0);
#else
    result = select_(less(x, splat((real)INFINITY)), result, x);
    result = select_(equal(x, splat(0)), splat(-(real)INFINITY), result);
    return select_(less(x, splat(0)), splat(-(real)NAN), result);
#endif
}

/* a * b - p, exact when p = a * b rounded and nothing underflows. */
INLINE vec product_error(vec a, vec b, vec p) {
#if HAS_FMA
    return fma_(a, b, -p);
#else
    /* Dekker: halves by truncation, whose products are exact. */
    const ivec top = isplat((ireal)(~(ureal)0 << HALF_MANTISSA));
    vec ah = as_real(as_int(a) & top), al = a - ah;
    vec bh = as_real(as_int(b) & top), bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

/* c[0] + c[1] x + ... + c[degree] x**degree, degree < 32, by halves (Estrin): pairs of
 * neighbouring terms become the coefficients of a polynomial in x * x, and so on. */
INLINE vec polynomial(vec x, const real *c, int degree) {
    vec t[32];
    UNROLL
    for (int i = 0; i <= degree; i += 2) {
        t[i / 2] = i < degree ? fma_(x, splat(c[i + 1]), splat(c[i])) : splat(c[i]);
    }
    UNROLL
    for (int last = degree / 2; last > 0; last /= 2) {
        x = x * x;
        UNROLL
        for (int i = 0; i <= last; i += 2) t[i / 2] = i < last ? fma_(x, t[i + 1], t[i]) : t[i];
    }
    return t[0];
}

/* The sixteen numbers of `table`, each lane's at the low four bits of its index.  HAS_LOOKUP
 * says that registers hold the table: one to four instructions instead of VL loads. */
#if defined(X86) && VECTOR_BYTES == 64 && !defined(FASTNN_DOUBLE)
#define HAS_LOOKUP 1
INLINE vec lookup(const real *table, ivec index) {
    return (vec)X86(permutexvar)((__m512i)index, (native)load(table));
}
#elif defined(X86) && VECTOR_BYTES == 32 && !defined(FASTNN_DOUBLE)
#define HAS_LOOKUP 1
INLINE vec lookup(const real *table, ivec index) {
    native low = X86(permutevar8x32)((native)load(table), (__m256i)index);
    native high = X86(permutevar8x32)((native)load(table + 8), (__m256i)index);
    return (vec)X86(blendv)(low, high, (native)(index << 28)); /* by the sign bits */
}
#elif defined(ARM) && !defined(FASTNN_DOUBLE)
#define HAS_LOOKUP 1
INLINE vec lookup(const real *table, ivec index) {
    /* NEON looks up bytes: 4 i, 4 i + 1, 4 i + 2 and 4 i + 3 for the number i. */
    const uivec first = ((uivec)index & 15) * 0x04040404u;
    return (vec)vqtbl4q_u8(vld1q_u8_x4((const uint8_t *)table), (uint8x16_t)(first + 0x03020100u));
}
#else
#define HAS_LOOKUP 0
INLINE vec lookup(const real *table, ivec index) {
    ireal at[VL];
    real found[VL];
    memcpy(at, &index, sizeof at);
    for (int i = 0; i < VL; i++) found[i] = table[at[i] & 15];
    return load(found);
}
#endif

/* An index for `lookup` that goes up by one with each quarter of an octave: the exponent and
 * the first two bits of the mantissa, for a >= 0. */
INLINE ivec quarter_octave(vec a) { return as_int(a) >> (MANTISSA_BITS - 2); }

/* c[0] + c[1] x + ... + c[degree] x**degree, where c[k] is a lookup in the k-th of degree + 1
 * tables, by Horner's rule: the roundings before the last two weigh little when x is small. */
INLINE vec lookup_polynomial(vec x, const real *tables, int degree, ivec index) {
    vec t = lookup(tables + 16 * degree, index);
    UNROLL
    for (int k = degree - 1; k >= 0; k--) t = fma_(x, t, lookup(tables + 16 * k, index));
    return t;
}

/* The first n of VL elements; the other lanes are zero.  Never touches p[n]. */
#if VECTOR_BYTES == 64
INLINE mask first_lanes(int n) { return (mask)((1u << n) - 1); }
INLINE vec load_part(const real *p, int n) { return (vec)X86(maskz_loadu)(first_lanes(n), p); }
INLINE void store_part(real *p, vec v, int n) { X86(mask_storeu)(p, first_lanes(n), (native)v); }
#elif VECTOR_BYTES == 32 && defined(X86)
INLINE __m256i first_lanes(int n) {
#ifdef FASTNN_DOUBLE
    return (__m256i)((ivec){0, 1, 2, 3} < isplat(n));
#else
    return (__m256i)((ivec){0, 1, 2, 3, 4, 5, 6, 7} < isplat(n));
#endif
}
INLINE vec load_part(const real *p, int n) { return (vec)X86(maskload)(p, first_lanes(n)); }
INLINE void store_part(real *p, vec v, int n) { X86(maskstore)(p, first_lanes(n), (native)v); }
#else
INLINE vec load_part(const real *p, int n) {
    real b[VL];
    for (int i = 0; i < VL; i++) b[i] = i < n ? p[i] : 0;
    return load(b);
}
INLINE void store_part(real *p, vec v, int n) {
    real b[VL];
    store(b, v);
    for (int i = 0; i < n; i++) p[i] = b[i];
}
#endif

#include "constants.h"

#endif

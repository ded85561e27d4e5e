/* Multiply-adds of one core on vectors in registers: nothing is loaded or stored in the loop.
   Build with -DREAL=float or double and -DBYTES=64 or 32; prints floating-point operations a
   second, the best of some repeats.  With -DPAIRS or -DQUADS those of the instructions that add
   the products of two bfloat16 or of four bytes to a sum. */
#include <stdio.h>
#include <time.h>

typedef REAL vec __attribute__((vector_size(BYTES)));
#if defined(PAIRS) || defined(QUADS)
#include <immintrin.h>
#endif
#if defined(PAIRS)
#define MULTIPLY_ADD(a, b, sum) \
    (vec)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))
enum { PRODUCTS = 2 };
#elif defined(QUADS)
#define MULTIPLY_ADD(a, b, sum) \
    (vec)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b))
enum { PRODUCTS = 4 };
#else
#define MULTIPLY_ADD(a, b, sum) ((sum) * (a) + (b))
enum { PRODUCTS = 1 };
#endif
enum { CHAINS = 12, LOOPS = 2000000, REPEATS = 10 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void) {
    volatile REAL factor = (REAL)0.999, term = (REAL)0.001;
    const vec a = factor + (vec){0}, b = term + (vec){0};
    vec sum[CHAINS] = {{0}};
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        const double start = now();
        for (int i = 0; i < LOOPS; i++)
            for (int c = 0; c < CHAINS; c++)
                sum[c] = MULTIPLY_ADD(a, b, sum[c]);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    volatile REAL sink = 0;
    for (int c = 0; c < CHAINS; c++) sink = sink + sum[c][0];
    const double lanes = BYTES / sizeof(REAL);
    printf("%.6e\n", 2.0 * PRODUCTS * lanes * CHAINS * LOOPS / best);
    return 0;
}

/* Multiply-adds of one core on vectors in registers: nothing is loaded or stored in the loop.
   Build with -DREAL=float or double and -DBYTES=64 or 32; prints floating-point operations a
   second, the best of some repeats. */
#include <stdio.h>
#include <time.h>

typedef REAL vec __attribute__((vector_size(BYTES)));
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
                sum[c] = sum[c] * a + b;
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    volatile REAL sink = 0;
    for (int c = 0; c < CHAINS; c++) sink = sink + sum[c][0];
    const double lanes = BYTES / sizeof(REAL);
    printf("%.6e\n", 2.0 * lanes * CHAINS * LOOPS / best);
    return 0;
}

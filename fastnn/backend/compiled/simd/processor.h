/* Which x86-64 level the processor and operating system support.  setup.py asks it too.
   1 to 4, 5 for level 4 with AVX512_BF16 and AVX512_VNNI, 0 on other machines. */
#ifndef FASTNN_PROCESSOR_H
#define FASTNN_PROCESSOR_H

#if defined(__GNUC__) && defined(__x86_64__)
#include <cpuid.h>

/* Bits of the words that cpuid gives in ecx; not all compilers have names for them. */
enum { CX16 = 1 << 13, MOVBE = 1 << 22, F16C = 1 << 29 }; /* of leaf 1 */
enum { LAHF = 1 << 0, LZCNT = 1 << 5 };                   /* of leaf 0x80000001 */

static inline unsigned cpuid_ecx(unsigned leaf) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(leaf, &eax, &ebx, &ecx, &edx) ? ecx : 0;
}

static inline int x86_level(void) {
    unsigned first = cpuid_ecx(1), extended = cpuid_ecx(0x80000001);
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3")
          && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2")
          && __builtin_cpu_supports("popcnt")
          && (first & CX16) && (extended & LAHF))) return 1;
    /* "avx2" is there only if the operating system keeps the registers too. */
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
          && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
          && (first & F16C) && (first & MOVBE) && (extended & LZCNT))) return 2;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
          && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
          && __builtin_cpu_supports("avx512vl"))) return 3;
    if (!(__builtin_cpu_supports("avx512bf16")
          && __builtin_cpu_supports("avx512vnni"))) return 4;
    return 5;
}
#else
static inline int x86_level(void) { return 0; }
#endif

#endif

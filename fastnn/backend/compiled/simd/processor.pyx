"""Which x86-64 level the processor and operating system support."""

cdef extern from *:
    """
    #if defined(__GNUC__) && defined(__x86_64__)
    static int x86_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3")
              && __builtin_cpu_supports("popcnt"))) return 1;
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
              && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))) return 2;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
              && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
              && __builtin_cpu_supports("avx512vl"))) return 3;
        if (!(__builtin_cpu_supports("avx512bf16")
              && __builtin_cpu_supports("avx512vnni"))) return 4;
        return 5;
    }
    #else
    static int x86_level(void) { return 0; }
    #endif
    """
    int x86_level() noexcept nogil


def supports(int level):
    """Whether code built for x86-64-v`level` runs here (1 to 4; other machines: never).

    5 is level 4 with AVX512_BF16 and AVX512_VNNI.
    """
    return x86_level() >= level

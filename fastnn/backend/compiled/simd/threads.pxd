"""OpenMP, and the mode of floating-point numbers of a thread.

`enter_float_mode` sets the mode that a call promises and returns that of the caller;
`leave_float_mode` brings it back, with the same `wanted`.
"""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define BARRIER() _Pragma("omp barrier")
    #define TEAM_SIZE() omp_get_num_threads()
    #define TEAM_LIMIT() omp_get_max_threads()
    #define IN_PARALLEL() omp_in_parallel()
    #if defined(__GNUC__) && __GNUC__ >= 9 && !defined(__clang__)
    #define END_IDLE_THREADS() (void)omp_pause_resource_all(omp_pause_soft)
    #else
    #define END_IDLE_THREADS()  /* clang's OpenMP looks after forks itself */
    #endif
    #else
    #define BARRIER()
    #define TEAM_SIZE() 1
    #define TEAM_LIMIT() 0
    #define IN_PARALLEL() 0
    #define END_IDLE_THREADS()
    #endif
    #if defined(__SSE2__)
    #include <immintrin.h>
    #define PLAIN_FLOATS 0x1f80  /* round to nearest, keep subnormal numbers, trap nothing */
    #define FLUSH_DENORMALS 0x9fc0
    #define RAISED_FLAGS 0x3fu
    static inline unsigned enter_float_mode(unsigned wanted)
    {
        unsigned before = _mm_getcsr();
        if ((before & ~RAISED_FLAGS) != wanted)
            _mm_setcsr(wanted | (before & RAISED_FLAGS));
        return before;
    }
    static inline void leave_float_mode(unsigned before, unsigned wanted)
    {
        if ((before & ~RAISED_FLAGS) != wanted)
            _mm_setcsr((before & ~RAISED_FLAGS) | (_mm_getcsr() & RAISED_FLAGS));
    }
    #elif defined(__aarch64__) && defined(__GNUC__)
    #define PLAIN_FLOATS 0
    #define FLUSH_DENORMALS (1u << 24)
    static inline void set_float_mode(uint64_t mode)
    {
        __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory");
    }
    static inline unsigned enter_float_mode(unsigned wanted)
    {
        uint64_t before;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(before) : : "memory");
        if (before != wanted)
            set_float_mode(wanted);
        return (unsigned)before;
    }
    static inline void leave_float_mode(unsigned before, unsigned wanted)
    {
        if (before != wanted)
            set_float_mode(before);
    }
    #else
    #define PLAIN_FLOATS 0
    #define FLUSH_DENORMALS 0
    static inline unsigned enter_float_mode(unsigned wanted) { (void)wanted; return 0; }
    static inline void leave_float_mode(unsigned before, unsigned wanted)
    {
        (void)before;
        (void)wanted;
    }
    #endif
    """
    void BARRIER() noexcept nogil
    int TEAM_SIZE() noexcept nogil
    int TEAM_LIMIT() noexcept nogil
    int IN_PARALLEL() noexcept nogil
    void END_IDLE_THREADS() noexcept nogil
    const unsigned PLAIN_FLOATS
    const unsigned FLUSH_DENORMALS
    unsigned enter_float_mode(unsigned wanted) noexcept nogil
    void leave_float_mode(unsigned before, unsigned wanted) noexcept nogil

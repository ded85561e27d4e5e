"""Which x86-64 level the processor and operating system support."""

cdef extern from "processor.h":
    int x86_level() noexcept nogil


def supports(int level):
    """Whether code built for x86-64-v`level` runs here (1 to 4; other machines: never).

    5 is level 4 with AVX512_BF16 and AVX512_VNNI.
    """
    return x86_level() >= level

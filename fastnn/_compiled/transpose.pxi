# Transposition in registers.

cdef extern from *:
    """
    #if VECTOR_BYTES > 0
    #if defined(__clang__)
    #define SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
    #else
    #define SHUFFLE2(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
    #endif
    #ifdef FASTNN_DOUBLE
    #define LANE_COUNT (VECTOR_BYTES / 8)
    #else
    #define LANE_COUNT (VECTOR_BYTES / 4)
    #endif
    #if LANE_COUNT == 16
    #define LOW_LANES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
    #define HIGH_LANES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
    #elif LANE_COUNT == 8
    #define LOW_LANES 0, 8, 1, 9, 2, 10, 3, 11
    #define HIGH_LANES 4, 12, 5, 13, 6, 14, 7, 15
    #elif LANE_COUNT == 4
    #define LOW_LANES 0, 4, 1, 5
    #define HIGH_LANES 2, 6, 3, 7
    #else
    #define LOW_LANES 0, 2
    #define HIGH_LANES 1, 3
    #endif
    INLINE vec zip_low(vec a, vec b) { return SHUFFLE2(a, b, LOW_LANES); }
    INLINE vec zip_high(vec a, vec b) { return SHUFFLE2(a, b, HIGH_LANES); }
    #else
    INLINE vec zip_low(vec a, vec b) { (void)b; return a; }
    INLINE vec zip_high(vec a, vec b) { (void)a; return b; }
    #endif
    """
    vec zip_low(vec, vec) noexcept nogil
    vec zip_high(vec, vec) noexcept nogil


cdef inline void transpose_vectors(const real* w, sz ldw, sz rows, real* out, sz ldo) noexcept nogil:
    """Transpose VL x VL elements in registers; rows past `rows` count as zero.

    log2(VL) rounds of interleaving row i with row i + VL/2 move element (i, j) to (j, i).
    """
    cdef vec row[16]
    cdef vec zipped[16]
    cdef int i, r = 1
    for i in range(VL):
        row[i] = load(w + i * ldw) if i < rows else splat(0)
    while r < VL:
        for i in range(VL // 2):
            zipped[2 * i] = zip_low(row[i], row[i + VL // 2])
            zipped[2 * i + 1] = zip_high(row[i], row[i + VL // 2])
        for i in range(VL):
            row[i] = zipped[i]
        r *= 2
    for i in range(VL):
        store(out + i * ldo, row[i])


cdef void transpose(sz rows, sz padded_rows, sz columns, const real* w, sz ldw,
                    real* out, sz ldo) noexcept nogil:
    """out = w' with rows of `padded_rows` elements, a multiple of VL: zeros follow the last row of w.

    Works on whole vectors: rows of w are readable, and rows of out writable, up to the next
    multiple of VL.
    """
    cdef sz i = 0, j
    while i < padded_rows:
        j = 0
        while j < columns:
            transpose_vectors(w + i * ldw + j, ldw, rows - i, out + j * ldo + i, ldo)
            j += VL
        i += VL

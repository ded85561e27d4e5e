# Transposition in registers.

cdef extern from "lanes.h" nogil:
    void transpose_lanes "transpose"(vec* t) noexcept


cdef inline void transpose_vectors(const real* w, sz ldw, sz rows, real* out,
                                   sz ldo) noexcept nogil:
    """Transpose VL x VL elements in registers; rows past `rows` count as zero."""
    cdef vec row[16]
    cdef int i
    for i in range(VL):
        row[i] = load(w + i * ldw) if i < rows else splat(0)
    transpose_lanes(row)
    for i in range(VL):
        store(out + i * ldo, row[i])


cdef void transpose(sz rows, sz padded_rows, sz columns, const real* w, sz ldw,
                    real* out, sz ldo) noexcept nogil:
    """out = w' with rows of `padded_rows` elements, a multiple of VL: zeros follow what w has.

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

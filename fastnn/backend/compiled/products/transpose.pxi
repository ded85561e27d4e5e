# Transposition in registers.

cdef extern from "lanes.h" nogil:
    void transpose_lanes "transpose"(vec* t) noexcept


cdef inline void load_turned(sz rows, sz columns, const real* w, sz ldw, vec* out) noexcept nogil:
    """out[j] = column j of w: VL of `columns`, VL of `rows`, zero beyond these."""
    cdef int i
    if columns >= VL and rows >= VL:
        for i in range(VL):
            out[i] = load(w + i * ldw)
    else:
        for i in range(VL):
            out[i] = take(w + i * ldw, columns, 0) if i < rows else splat(0)
    transpose_lanes(out)


cdef void transpose(sz rows, sz padded_rows, sz columns, const real* w, sz ldw,
                    real* out, sz ldo) noexcept nogil:
    """out = w' with rows of `padded_rows` elements, a multiple of VL: zeros follow what w has.

    Rows of `out` are written up to the next multiple of VL of `columns`.
    """
    cdef vec turned[16]
    cdef sz i = 0, j
    cdef int k
    while i < padded_rows:
        j = 0
        while j < columns:
            load_turned(rows - i, columns - j, w + i * ldw + j, ldw, turned)
            for k in range(VL):
                store(out + (j + k) * ldo + i, turned[k])
            j += VL
        i += VL

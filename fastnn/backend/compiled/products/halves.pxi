# Operands of products in bfloat16: numbers rounded once, and packed as pairs along k.
#
#   rows of X, for X W                  pairs along the row           store_halves
#   W, for X W                          pairs along the column        pack_columns
#   W, for dZ W'                        pairs along the row, turned   pack_rows
#   X and dZ, for X' dZ                 pairs along the column        pack_columns
#
# A pair takes the place of one `real`.  Where a pair has no second number, that is zero.

cdef extern from "halves.h" nogil:
    vec pair_of(vec low, vec high) noexcept
    void store_halves(real* place, vec a) noexcept


cdef inline sz pairs(sz n) noexcept nogil:
    """Words that hold n numbers."""
    return (n + 1) // 2


cdef void pack_columns(sz rows, sz columns, const real* w, sz ldw, real* out,
                       sz ldo) noexcept nogil:
    """out[r, j] = the pair of w[2 r, j] and w[2 r + 1, j]; whole vectors of columns."""
    cdef sz r, j
    for r in range(0, rows, 2):
        j = 0
        while j < columns:
            store(out + r // 2 * ldo + j,
                  pair_of(load(w + r * ldw + j),
                          load(w + (r + 1) * ldw + j) if r + 1 < rows else splat(0)))
            j += VL


cdef void round_row(sz width, sz columns, const real* x, real* out) noexcept nogil:
    """Pairs along a row: those of `width` numbers, zeros up to `columns`; whole vectors of both."""
    cdef sz j = 0
    while j < columns:
        store_halves(out + j // 2, load(x + j) if j + VL <= width
                     else within(load(x + j), 0, max(width - j, <sz>0)))
        j += VL


cdef void pack_rows(sz rows, sz width, const real* w, sz ldw, real* out, sz ldo) noexcept nogil:
    """out[n, k] = the pair of w[k, 2 n] and w[k, 2 n + 1], for whole vectors of rows k.

    Rows of w are padded to whole pairs of vectors; zeros follow their width, and the last row.
    """
    cdef real memory[16 * 16 + 16]
    cdef real* words = aligned(memory)
    cdef vec turned[16]
    cdef sz k = 0, n, i, count
    while k < rows:
        n = 0
        while n < width:
            count = min(rows - k, <sz>VL)
            for i in range(VL):
                if i < count:
                    round_row(min(width - n, <sz>(2 * VL)), 2 * VL, w + (k + i) * ldw + n,
                              words + i * VL)
                    turned[i] = load(words + i * VL)
                else:
                    turned[i] = splat(0)
            transpose_lanes(turned)
            for i in range(min(VL, pairs(width - n))):
                store(out + (n // 2 + i) * ldo + k, turned[i])
            n += 2 * VL
        k += VL

# Operands of products in bfloat16: numbers rounded once, and packed as pairs along k.  Part of
# pairs.pyx, which has the processor's instruction for it.
#
#   rows of X, for X W                  pairs along the row           store_halves
#   W, for X W                          pairs along the column        pack_columns
#   W, for dZ W'                        pairs along the row, turned   pack_rows
#   X and dZ, for X' dZ                 pairs along the column        pack_columns
#
# A pair takes the place of one `real`.  Where a pair has no second number, that is zero.
# A matrix that is multiplied along its rows and along its columns has a copy for each.

cdef enum:
    ROWS_AHEAD = 4  # of a weight that are fetched while others are packed

cdef extern from "halves.h" nogil:
    vec pair_of(vec low, vec high) noexcept
    void store_halves(real* place, vec a) noexcept
    vec row_of_halves(vec a, vec b) noexcept
    vec merged(vec low, vec high) noexcept


cdef public void pack_columns(Py_ssize_t rows, Py_ssize_t columns, const real* w, Py_ssize_t ldw,
                              real* out, Py_ssize_t ldo) noexcept nogil:
    """out[r, j] = the pair of w[2 r, j] and w[2 r + 1, j]; whole vectors of columns."""
    cdef sz r, j
    for r in range(0, rows, 2):
        j = 0
        while j < columns:
            PREFETCH(w + (r + ROWS_AHEAD) * ldw + j)
            PREFETCH(w + (r + ROWS_AHEAD + 1) * ldw + j)
            store(out + r // 2 * ldo + j,
                  pair_of(load(w + r * ldw + j),
                          load(w + (r + 1) * ldw + j) if r + 1 < rows else splat(0)))
            j += VL


cdef inline vec numbers_of(const real* c, sz j, sz width) noexcept nogil:
    """A vector of a row from column j on, zero where the row has ended."""
    if j >= width:
        return splat(0)
    return load(c + j) if j + VL <= width else within(load(c + j), 0, width - j)


cdef public void round_row(Py_ssize_t width, Py_ssize_t columns, const real* x,
                           real* out) noexcept nogil:
    """Pairs along a row: those of `width` numbers, zeros up to `columns`; whole vectors of both."""
    cdef sz j = 0
    while j < columns:
        store_halves(out + j // 2, numbers_of(x, j, width))
        j += VL


cdef public void pack_rows(Py_ssize_t rows, Py_ssize_t width, const real* w, Py_ssize_t ldw,
                           real* out, Py_ssize_t ldo) noexcept nogil:
    """out[n, k] = the pair of w[k, 2 n] and w[k, 2 n + 1], for whole vectors of rows k.

    Zeros follow the width and the last row.
    """
    cdef vec turned[16]
    cdef const real* x
    cdef sz k = 0, n, i, count
    while k < rows:
        count = min(rows - k, <sz>VL)
        n = 0
        while n < width:
            for i in range(VL):
                x = w + (k + i) * ldw + n
                turned[i] = row_of_halves(numbers_of(x, 0, width - n), numbers_of(
                    x, VL, width - n)) if i < count else splat(0)
            transpose_lanes(turned)
            for i in range(min(VL, pairs(width - n))):
                store(out + (n // 2 + i) * ldo + k, turned[i])
            n += 2 * VL
        k += VL


cdef public void round_tile(const Halves* halves, Py_ssize_t row, Py_ssize_t column,
                            Py_ssize_t n_rows, Py_ssize_t n_columns, const real* c,
                            Py_ssize_t ldc) noexcept nogil:
    """The tile C of a matrix, from a row and a column on, into its copies in bfloat16."""
    cdef sz r = 0, width = halves.width - column
    while r < n_rows:
        if (row + r) % 2 == 0 and r + 1 < n_rows and halves.columns != NULL:
            round_two_rows(halves, row + r, column, width, n_columns, c + r * ldc, ldc)
            r += 2
        else:
            round_one_row(halves, row + r, column, width, n_columns, c + r * ldc)
            r += 1


cdef inline void round_two_rows(const Halves* halves, sz row, sz column, sz width, sz n,
                                const real* c, sz ldc) noexcept nogil:
    """`round_tile` of an even row and the one below it."""
    cdef real* first = halves.rows + (row * halves.ld + column) // 2
    cdef real* second = first + halves.ld // 2
    cdef real* both_rows = halves.columns + row // 2 * halves.ld + column
    cdef sz j = 0
    cdef vec a, b
    while j < n:
        a, b = numbers_of(c, j, width), numbers_of(c + ldc, j, width)
        store_halves(first + j // 2, a)
        store_halves(second + j // 2, b)
        store(both_rows + j, pair_of(a, b))
        j += VL


cdef inline void round_one_row(const Halves* halves, sz row, sz column, sz width, sz n,
                               const real* c) noexcept nogil:
    """`round_tile` of a row alone: an even one leaves zeros for the one below it."""
    cdef real* own = halves.rows + (row * halves.ld + column) // 2
    cdef real* both_rows
    cdef sz j = 0
    cdef vec a
    while j < n:
        a = numbers_of(c, j, width)
        store_halves(own + j // 2, a)
        if halves.columns != NULL:
            both_rows = halves.columns + row // 2 * halves.ld + column + j
            store(both_rows, pair_of(a, splat(0)) if row % 2 == 0
                  else merged(load(both_rows), pair_of(splat(0), a)))
        j += VL

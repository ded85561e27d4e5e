# What core.pyx calls in the units it is linked with; cores of float32 alone have them.

from fastnn.backend.compiled.products.words cimport Halves, Product
from fastnn.backend.compiled.simd.simd cimport real

cdef extern from *:
    """
    #ifdef FASTNN_DOUBLE
    #define tile_pairs(rows, columns, transposed, far, blocks, product) ((void)0)
    #define tile_quads(rows, columns, far, blocks, product) ((void)0)
    #define pack_columns(rows, columns, w, ldw, out, ldo) ((void)0)
    #define pack_rows(rows, width, w, ldw, out, ldo) ((void)0)
    #define round_row(width, columns, x, out) ((void)0)
    #define round_tile(halves, row, column, n_rows, n_columns, c, ldc) ((void)0)
    #else
    void tile_pairs(int, Py_ssize_t, int, int, Py_ssize_t, const void *);
    void pack_columns(Py_ssize_t, Py_ssize_t, const real *, Py_ssize_t, real *, Py_ssize_t);
    void pack_rows(Py_ssize_t, Py_ssize_t, const real *, Py_ssize_t, real *, Py_ssize_t);
    void round_row(Py_ssize_t, Py_ssize_t, const real *, real *);
    void round_tile(const void *, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const real *,
                    Py_ssize_t);
    void tile_quads(int, Py_ssize_t, int, Py_ssize_t, const void *);
    #endif
    """
    # pairs.pyx
    void tile_pairs(int rows, Py_ssize_t columns, bint transposed, bint far, Py_ssize_t blocks,
                    const Product* product) noexcept nogil

    # quads.pyx
    void tile_quads(int rows, Py_ssize_t columns, bint far, Py_ssize_t blocks,
                    const Product* product) noexcept nogil

    # products/halves.pxi
    void pack_columns(Py_ssize_t rows, Py_ssize_t columns, const real* w, Py_ssize_t ldw,
                      real* out, Py_ssize_t ldo) noexcept nogil
    void pack_rows(Py_ssize_t rows, Py_ssize_t width, const real* w, Py_ssize_t ldw, real* out,
                   Py_ssize_t ldo) noexcept nogil
    void round_row(Py_ssize_t width, Py_ssize_t columns, const real* x, real* out) noexcept nogil
    void round_tile(const Halves* halves, Py_ssize_t row, Py_ssize_t column, Py_ssize_t n_rows,
                    Py_ssize_t n_columns, const real* c, Py_ssize_t ldc) noexcept nogil

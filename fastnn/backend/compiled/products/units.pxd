# Tiles of products in the units that core.pyx is linked with; cores of float32 alone have them.

from fastnn.backend.compiled.products.words cimport Product

cdef extern from *:
    """
    #ifdef FASTNN_DOUBLE
    #define tile_pairs(rows, columns, transposed, far, blocks, product) ((void)0)
    #define tile_quads(rows, columns, far, blocks, product) ((void)0)
    #else
    void tile_pairs(int, Py_ssize_t, int, int, Py_ssize_t, const void *);
    void tile_quads(int, Py_ssize_t, int, Py_ssize_t, const void *);
    #endif
    """
    # pairs.pyx
    void tile_pairs(int rows, Py_ssize_t columns, bint transposed, bint far, Py_ssize_t blocks,
                    const Product* product) noexcept nogil
    # quads.pyx
    void tile_quads(int rows, Py_ssize_t columns, bint far, Py_ssize_t blocks,
                    const Product* product) noexcept nogil

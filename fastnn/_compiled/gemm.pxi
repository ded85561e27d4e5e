# Matrix products on padded rows, with what follows each of them done tile by tile in cache.
#
#   gemm              C = start + A B
#   dense_block       out = f(X W + b), the forward pass of a dense layer
#   gemm_transposed   C = start + A W', a strip of the backward pass


cdef void gemm(sz rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
               const real* b, sz ldb, const real* start, sz ld_start,
               real* c, sz ldc) noexcept nogil:
    """C = start + A B; `columns` is a multiple of 16, rows of B and C are readable that far."""
    cdef sz n = 0, r, w
    cdef int m
    cdef bint far = is_far(columns, K, k_step)
    CHECK(columns % VL == 0 and columns <= ldb and columns <= ldc)
    while n < columns:
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            m = block_rows(rows - r)
            tile_any(m, w, far, K, a + r * row_step, row_step, k_step, b + n, ldb,
                     start + r * ld_start + n if start != NULL else NULL, ld_start,
                     c + r * ldc + n, ldc)
            r += m
        n += w


cdef void dense_block(sz rows, sz columns, sz K, const real* x, sz ldx, const real* weight,
                      sz ldw, const real* bias, int code, real alpha, real* z, sz ldz,
                      real* slope, sz lds, real* out, sz ldo) noexcept nogil:
    """out = f(X W + b), the activation applied to each tile while it is in cache.

    z and slope receive X W + b and f'(X W + b) unless they are NULL.
    """
    cdef sz n = 0, r, w, i
    cdef int m
    cdef real* c
    cdef bint far = is_far(columns, K, 1)
    CHECK(columns % VL == 0 and columns <= ldw and columns <= ldo)
    while n < columns:
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            m = block_rows(rows - r)
            c = out + r * ldo + n
            tile_any(m, w, far, K, x + r * ldx, ldx, 1, weight + n, ldw,
                     bias + n if bias != NULL else NULL, 0, c, ldo)
            if z != NULL:
                for i in range(m):
                    memcpy(z + (r + i) * ldz + n, c + i * ldo, w * sizeof(real))
            if slope != NULL:
                activate_both_rows(code, alpha, m, w, c, ldo, c, ldo, slope + r * lds + n, lds)
            elif code != IDENTITY:
                activate_rows(code, alpha, m, w, c, ldo, c, ldo)
            r += m
        n += w


cdef enum:
    STRIP = 32           # columns of a strip of C, rows of W
    STRIP_DEPTH = 256    # columns of W that are turned at a time: they stay in L1


cdef void gemm_transposed(sz rows, sz columns, sz K, const real* a, sz lda, const real* w, sz ldw,
                          sz w_rows, bint accumulate, real* c, sz ldc) noexcept nogil:
    """C (+)= A W' for at most STRIP columns of C: rows of W, of which there are `w_rows`.

    W is turned in registers, a piece at a time, into a panel that all rows of A use.  No
    transposed copy of the weights is kept.
    """
    cdef real memory[STRIP * STRIP_DEPTH + 16]
    cdef real* panel = aligned(memory)
    cdef sz k = 0, depth
    CHECK(columns % VL == 0 and columns <= STRIP)
    while k < K:
        depth = min(K - k, <sz>STRIP_DEPTH)
        transpose(min(w_rows, columns), columns, depth, w + k, ldw, panel, STRIP)
        gemm(rows, columns, depth, a + k, lda, 1, panel, STRIP,
             c if accumulate or k > 0 else NULL, ldc, c, ldc)
        k += depth

# Matrix products, with what follows each of them done tile by tile in cache.
#
#   gemm              C = start + A B
#   dense_block       out = f(X W + b), the forward pass of a dense layer
#   gemm_transposed   C = start + A W', a strip of the backward pass
#
# All work on whole vectors and touch nothing beyond the operands.  The engine pads its rows to
# whole vectors; where rows are of any length, the last tile begins earlier and makes some
# elements of C again, to the same bits.


cdef enum:
    LEAST_DEPTH = 128  # of a part of K, which reads and writes C once more


cdef inline sz tile_start(sz n, sz columns) noexcept nogil:
    """Where the tile of column n starts, so that a whole vector follows."""
    return min(n, columns - VL)


cdef void gemm(sz rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
               const real* b, sz ldb, const real* start, sz ld_start,
               real* c, sz ldc) noexcept nogil:
    """C = start + A B, with VL columns or more: whole vectors of them if `start` is C."""
    cdef sz n = 0, r, w, blocks
    cdef int m
    cdef bint far = is_far(columns, K, k_step)
    CHECK(VL <= columns and columns <= ldb and columns <= ldc)
    CHECK(columns % VL == 0 or start != c)
    while n < columns:
        n = tile_start(n, columns)
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            blocks = next_blocks(rows - r, &m)
            tile_any(m, w, far, blocks, K, a + r * row_step, row_step, k_step, b + n, ldb,
                     start + r * ld_start + n if start != NULL else NULL, ld_start,
                     c + r * ldc + n, ldc)
            r += blocks * m
        n += w


cdef void dense_block(sz rows, sz columns, sz K, const real* x, sz ldx, const real* weight,
                      sz ldw, const real* bias, int code, real alpha, real* z, sz ldz,
                      real* slope, sz lds, real* out, sz ldo) noexcept nogil:
    """out = f(X W + b) for VL columns or more, each tile activated while it is in cache.

    z and slope receive X W + b and f'(X W + b) unless they are NULL.
    """
    cdef sz n = 0, r, w, blocks
    cdef int m
    cdef bint far = is_far(columns, K, 1)
    cdef const real* start = bias
    cdef sz ld_start = 0, depth = NEAR_BYTES // (rows * <sz>sizeof(real))
    CHECK(VL <= columns and columns <= ldw and columns <= ldo)
    # Rows that would fill the second cache twice over pass in parts: each stays for all columns.
    while K > 2 * depth and depth >= LEAST_DEPTH and columns % VL == 0:
        gemm(rows, columns, depth, x, ldx, 1, weight, ldw, start, ld_start, out, ldo)
        start, ld_start = out, ldo
        x = x + depth
        weight = weight + depth * ldw
        K -= depth
    while n < columns:
        n = tile_start(n, columns)
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            blocks = next_blocks(rows - r, &m)
            tile_any(m, w, far, blocks, K, x + r * ldx, ldx, 1, weight + n, ldw,
                     start + r * ld_start + n if start != NULL else NULL, ld_start,
                     out + r * ldo + n, ldo)
            finish_tile(blocks * m, w, code, alpha, z + r * ldz + n if z != NULL else NULL, ldz,
                        slope + r * lds + n if slope != NULL else NULL, lds,
                        out + r * ldo + n, ldo)
            r += blocks * m
        n += w


cdef void finish_tile(sz rows, sz columns, int code, real alpha, real* z, sz ldz,
                      real* slope, sz lds, real* c, sz ldc) noexcept nogil:
    """c = f(c); z and slope receive c and f'(c) unless they are NULL."""
    cdef sz i
    if z != NULL:
        for i in range(rows):
            memcpy(z + i * ldz, c + i * ldc, columns * sizeof(real))
    if slope != NULL:
        activate_both_rows(code, alpha, rows, columns, c, ldc, c, ldc, slope, lds)
    elif code != IDENTITY:
        activate_rows(code, alpha, rows, columns, c, ldc, c, ldc)


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
    if rows <= FEW_ROWS:
        few_rows_transposed(rows, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)
        return
    while k < K:
        depth = min(K - k, <sz>STRIP_DEPTH)
        transpose(min(w_rows, columns), columns, depth, w + k, ldw, panel, STRIP)
        gemm(rows, columns, depth, a + k, lda, 1, panel, STRIP,
             c if accumulate or k > 0 else NULL, ldc, c, ldc)
        k += depth


cdef void few_rows_transposed(sz rows, sz columns, sz K, const real* a, sz lda, const real* w,
                              sz ldw, sz w_rows, bint accumulate, real* c, sz ldc) noexcept nogil:
    """`gemm_transposed` for at most FEW_ROWS rows: what was turned is used and forgotten."""
    if rows == 1: turned_tiles(1, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)
    elif rows == 2: turned_tiles(2, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)
    elif FEW_ROWS == 2: pass
    elif rows == 3: turned_tiles(3, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)
    elif rows == 4: turned_tiles(4, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)


cdef inline void turned_tiles(int rows, sz columns, sz K, const real* a, sz lda, const real* w,
                              sz ldw, sz w_rows, bint accumulate, real* c, sz ldc) noexcept nogil:
    """C (+)= A W' for a constant number of rows, two vectors of columns after another.

    While the chains of one vector wait for each other, the next is turned.
    """
    cdef sz pairs = columns // (2 * VL) * (2 * VL)
    turned_tile(rows, 2, 0, pairs, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)
    turned_tile(rows, 1, pairs, columns, K, a, lda, w, ldw, w_rows, accumulate, c, ldc)


cdef inline void turned_tile(int rows, int vectors, sz n, sz end, sz K, const real* a, sz lda,
                             const real* w, sz ldw, sz w_rows, bint accumulate,
                             real* c, sz ldc) noexcept nogil:
    """Columns n to `end` of C (+)= A W', for constant numbers of rows and vectors at a time."""
    cdef vec total[4][2]
    cdef vec turned[16]
    cdef sz k
    cdef int r, v, i
    while n < end:
        for r in range(rows):
            for v in range(vectors):
                total[r][v] = load(c + r * ldc + n + v * VL) if accumulate else splat(0)
        k = 0
        while k + VL <= K:
            for v in range(vectors):
                load_turned(w_rows - n - v * VL, VL, w + (n + v * VL) * ldw + k, ldw, turned)
                for i in range(VL):
                    for r in range(rows):
                        total[r][v] = fma_(splat(a[r * lda + k + i]), turned[i], total[r][v])
            k += VL
        if k < K:
            for v in range(vectors):
                load_turned(w_rows - n - v * VL, K - k, w + (n + v * VL) * ldw + k, ldw, turned)
                for i in range(VL):
                    if k + i < K:
                        for r in range(rows):
                            total[r][v] = fma_(splat(a[r * lda + k + i]), turned[i], total[r][v])
        for r in range(rows):
            for v in range(vectors):
                store(c + r * ldc + n + v * VL, total[r][v])
        n += vectors * VL

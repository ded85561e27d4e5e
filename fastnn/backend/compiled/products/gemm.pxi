# Matrix products, with what follows each of them done tile by tile in cache.
#
#   gemm              C = start + A B
#   gemm_gradient     C = start + A' B, the gradient of a weight
#   dense_block       out = f(X W + b), the forward pass of a dense layer
#   gemm_transposed   C = start + A W', a strip of the backward pass
#
# All work on whole vectors and touch nothing beyond the operands.  The engine pads its rows to
# whole vectors; where rows are of any length, the last tile begins earlier and makes some
# elements of C again, to the same bits.


cdef enum:
    LEAST_DEPTH = 128  # of a part of K, which reads and writes C once more


cdef inline void tiles_of(int rows, sz columns, bint transposed, bint far, sz blocks,
                          const Product* product) noexcept nogil:
    """`tile_any` for the words of the product; `transposed` is constant."""
    if product.words == PAIRS:
        tile_pairs(rows, columns, transposed, far, blocks, product)
    elif product.words == QUADS and not transposed:
        tile_quads(rows, columns, far, blocks, product)
    else:
        tile_any(rows, columns, transposed, far, blocks, product)


cdef inline sz tile_start(sz n, sz columns) noexcept nogil:
    """Where the tile of column n starts, so that a whole vector follows."""
    return min(n, columns - VL)


cdef inline void gemm_of(bint transposed, bint far, sz rows, sz columns,
                         const Product* product) noexcept nogil:
    """`gemm` for a constant `transposed`, of operands that are `far` (see `is_far`) or not."""
    cdef Product part
    cdef sz n = 0, r, w, blocks
    cdef int m
    CHECK(VL <= columns and columns <= product.ldb and columns <= product.ldc)
    CHECK(columns % VL == 0 or product.start != product.c)
    while n < columns:
        n = tile_start(n, columns)
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            blocks = next_blocks(rows - r, &m)
            part = product_part(product, transposed, r, n)
            tiles_of(m, w, transposed, far, blocks, &part)
            r += blocks * m
        n += w


cdef void gemm(sz rows, sz columns, const Product* product) noexcept nogil:
    """C = start + A B, with VL columns or more: whole vectors of them if `start` is C."""
    gemm_of(False, is_far(columns, product.K, False), rows, columns, product)


cdef void gemm_strip(sz rows, sz columns, sz all_columns, const Product* product) noexcept nogil:
    """`gemm` for some columns of a B that has others behind them, which come next."""
    gemm_of(False, is_far(all_columns, product.K, False), rows, columns, product)


cdef void gemm_gradient(sz rows, sz columns, const Product* product) noexcept nogil:
    """`gemm` with the transpose of A, of which there are `rows` columns: X' dZ."""
    gemm_of(True, is_far(columns, product.K, True), rows, columns, product)


cdef struct Finish:
    # What follows a product: C = f(C), copies of C and of f'(C), and sums, unless they are NULL.
    int code
    real alpha
    real* z
    sz ldz
    real* slope
    sz lds
    real* squares  # a vector to which the squares of the result are added
    const Sums* sums  # of whole numbers, which become numbers first
    Halves halves  # copies in bfloat16 ...
    sz first       # ... in whose rows C is from this one on


cdef inline Finish finish_of(int code, real alpha) noexcept nogil:
    """f without copies."""
    cdef Finish finish
    finish.code, finish.alpha = code, alpha
    finish.z, finish.ldz = NULL, 0
    finish.slope, finish.lds = NULL, 0
    finish.squares = NULL
    finish.sums = NULL
    finish.halves.rows = NULL
    return finish


cdef void dense_block(sz rows, sz columns, const Product* product,
                      const Finish* finish) noexcept nogil:
    """`gemm` for X W + b, each tile activated while it is in cache; `start` is the bias."""
    cdef Product whole = product[0], part
    cdef sz n = 0, r, w, blocks, depth
    cdef int m
    cdef bint far = is_far(columns, product.K, False)
    CHECK(VL <= columns and columns <= whole.ldb and columns <= whole.ldc)
    # Rows that would fill the second cache twice over pass in parts: each stays for all columns.
    if rows * whole.K * <sz>sizeof(real) > 2 * NEAR_BYTES and columns % VL == 0:
        depth = NEAR_BYTES // (rows * <sz>sizeof(real))
        while whole.K > 2 * depth and depth >= LEAST_DEPTH:
            part = whole
            part.K = depth
            gemm(rows, columns, &part)
            whole.start, whole.ld_start = whole.c, whole.ldc
            whole.a += depth
            whole.b += depth * whole.ldb
            whole.K -= depth
    while n < columns:
        n = tile_start(n, columns)
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            blocks = next_blocks(rows - r, &m)
            part = product_part(&whole, False, r, n)
            tiles_of(m, w, False, far, blocks, &part)
            finish_tile(blocks * m, w, finish, r, n, part.c, part.ldc)
            r += blocks * m
        n += w


cdef void finish_tile(sz rows, sz columns, const Finish* finish, sz row, sz column, real* c,
                      sz ldc) noexcept nogil:
    """What follows the tile `c` of a product, which begins at a row and a column of the whole."""
    cdef real* z = finish.z + row * finish.ldz + column if finish.z != NULL else NULL
    cdef sz i
    if finish.sums != NULL:
        numbers_of_sums(rows, columns, finish.sums, row, column, c, ldc)
    if z != NULL:
        for i in range(rows):
            memcpy(z + i * finish.ldz, c + i * ldc, columns * sizeof(real))
    if finish.slope != NULL:
        activate_both_rows(finish.code, finish.alpha, rows, columns, c, ldc, c, ldc,
                           finish.slope + row * finish.lds + column, finish.lds)
    elif finish.code != IDENTITY:
        activate_rows(finish.code, finish.alpha, rows, columns, c, ldc, c, ldc)
    if finish.squares != NULL:
        add_squares(rows, columns, c, ldc, finish.squares)
    if finish.halves.rows != NULL:
        round_tile(&finish.halves, finish.first + row, column, rows, columns, c, ldc)


cdef void add_squares(sz rows, sz columns, const real* c, sz ldc, real* squares) noexcept nogil:
    """Add the squares of whole vectors of columns to a vector."""
    cdef vec v
    cdef vec total[4]
    cdef sz j = 0, r
    cdef int i
    for i in range(4):
        total[i] = splat(0)
    while j < columns:
        r = 0
        while r + 4 <= rows:
            for i in range(4):
                v = load(c + (r + i) * ldc + j)
                total[i] = fma_(v, v, total[i])
            r += 4
        while r < rows:
            v = load(c + r * ldc + j)
            total[0] = fma_(v, v, total[0])
            r += 1
        j += VL
    store(squares, load(squares) + ((total[0] + total[1]) + (total[2] + total[3])))


cdef enum:
    STRIP = 32           # columns of a strip of C, rows of W
    STRIP_DEPTH = 256    # columns of W that are turned at a time: they stay in L1


cdef void gemm_transposed(sz rows, sz columns, sz w_rows, const Product* product) noexcept nogil:
    """C = start + A W' for at most STRIP columns of C: rows of W, of which there are `w_rows`.

    W is the product's B; `start` is NULL or C.  W is turned in registers, a piece at a time, into
    a panel that all rows of A use.  No transposed copy of the weights is kept.
    """
    cdef real memory[STRIP * STRIP_DEPTH + 16]
    cdef Product part
    cdef real* panel = aligned(memory)
    cdef sz k = 0
    CHECK(columns % VL == 0 and columns <= STRIP)
    if rows <= FEW_ROWS:
        few_rows_transposed(rows, columns, w_rows, product)
        return
    part = product[0]
    part.b, part.ldb = panel, STRIP
    while k < product.K:
        part.K = min(product.K - k, <sz>STRIP_DEPTH)
        transpose(min(w_rows, columns), columns, part.K, product.b + k, product.ldb, panel, STRIP)
        gemm(rows, columns, &part)
        part.start, part.ld_start = part.c, part.ldc
        part.a += part.K
        k += part.K


cdef void few_rows_transposed(sz rows, sz columns, sz w_rows, const Product* p) noexcept nogil:
    """`gemm_transposed` for at most FEW_ROWS rows: what was turned is used and forgotten."""
    if rows == 1: turned_tiles(1, columns, w_rows, p)
    elif rows == 2: turned_tiles(2, columns, w_rows, p)
    elif FEW_ROWS == 2: pass
    elif rows == 3: turned_tiles(3, columns, w_rows, p)
    elif rows == 4: turned_tiles(4, columns, w_rows, p)


cdef inline void turned_tiles(int rows, sz columns, sz w_rows, const Product* p) noexcept nogil:
    """C = start + A W' for a constant number of rows, two vectors of columns after another.

    While the chains of one vector wait for each other, the next is turned.
    """
    cdef sz pairs = columns // (2 * VL) * (2 * VL)
    turned_tile(rows, 2, 0, pairs, w_rows, p)
    turned_tile(rows, 1, pairs, columns, w_rows, p)


cdef inline void turned_tile(int rows, int vectors, sz n, sz end, sz w_rows,
                             const Product* p) noexcept nogil:
    """Columns n to `end` of `turned_tiles`, for constant numbers of rows and vectors at a time."""
    cdef vec total[4][2]
    cdef vec turned[16]
    cdef sz k, K = p.K, lda = p.lda, ldw = p.ldb
    cdef const real* a = p.a
    cdef const real* w
    cdef int r, v, i
    while n < end:
        for r in range(rows):
            for v in range(vectors):
                total[r][v] = load(p.c + r * p.ldc + n + v * VL) if p.start != NULL else splat(0)
        k = 0
        # Whole squares of W stay in registers; what is left at its edges passes through memory.
        while k + VL <= K and n + vectors * VL <= w_rows:
            for v in range(vectors):
                w = p.b + (n + v * VL) * ldw + k
                for i in range(VL):
                    turned[i] = load(w + i * ldw)
                transpose_lanes(turned)
                for i in range(VL):
                    for r in range(rows):
                        total[r][v] = fma_(splat(a[r * lda + k + i]), turned[i], total[r][v])
            k += VL
        for r in range(rows):
            for v in range(vectors):
                store(p.c + r * p.ldc + n + v * VL, total[r][v])
        if k < K:
            turned_rest(rows, vectors, n, k, w_rows, p)
        n += vectors * VL


cdef apart turned_rest(int rows, int vectors, sz n, sz k, sz w_rows,
                       const Product* p) noexcept nogil:
    """`turned_tile` from k on, for what is no whole square of W: C is what it goes on from."""
    cdef vec turned[16]
    cdef vec total
    cdef real* c
    cdef sz first, m
    cdef int r, v, i
    for v in range(vectors):
        first = k
        while first < p.K:
            m = min(p.K - first, <sz>VL)
            load_turned(w_rows - n - v * VL, m, p.b + (n + v * VL) * p.ldb + first, p.ldb, turned)
            for r in range(rows):
                c = p.c + r * p.ldc + n + v * VL
                total = load(c)
                for i in range(VL):  # a constant, for `turned` to stay in registers
                    if i < m:
                        total = fma_(splat(p.a[r * p.lda + first + i]), turned[i], total)
                store(c, total)
            first += m

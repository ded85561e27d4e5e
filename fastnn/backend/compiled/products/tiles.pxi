# The micro-kernel of all matrix products.
#
# C = A B, one tile of up to MAX_ROWS rows by a few vectors of columns at a time, in
# registers.  Every element of C is one chain of fused multiply-adds over k in rising order,
# whatever tile it falls into: the result does not depend on tiles, threads or batch size.
#
# What A and B hold are words as long as an element of C: numbers in core.pyx, pairs of bfloat16 in
# pairs.pyx.  `multiply_add` is what knows (simd/words.h); everything else moves words.
#
# B and C have rows of whole vectors (a multiple of 16 elements).  A is read one element
# at a time, along its rows or across them: products take X and X'.

cdef extern from *:
    """
    /* Accumulators for MAX_ROWS x 2 vectors, 2 vectors of B and a broadcast fill the registers:
       32 with AVX-512 and NEON, 16 elsewhere.  GRADIENT_DEPTH rows of X and of dZ are what a
       task of phase 2 goes through at a time: about what stays in L1 for all its tiles. */
    #if VECTOR_BYTES == 64 || defined(__aarch64__)
    #define MAX_ROWS 14
    #define WIDE_VECTORS 16
    #define FEW_ROWS 4
    #define GRADIENT_DEPTH (1024 / (int)sizeof(real))
    #else
    #define MAX_ROWS 6
    #define WIDE_VECTORS 8
    #define FEW_ROWS 2
    #define GRADIENT_DEPTH (512 / (int)sizeof(real))
    #endif
    #define AHEAD 8
    /* Functions that do nothing but fetch must be inline: GCC finds that they change nothing, and
       leaves out calls of them. */
    #if defined(__GNUC__)
    #define PREFETCH(p) __builtin_prefetch(p, 0, 2)
    #define PREFETCH_TO_WRITE(p) __builtin_prefetch(p, 1, 2)
    #else
    #define PREFETCH(p)
    #define PREFETCH_TO_WRITE(p)
    #endif
    /* The first cache line that starts in a block of memory. */
    INLINE real *aligned(real *p) { return (real *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }
    """
    const int MAX_ROWS
    const int WIDE_VECTORS
    const int FEW_ROWS
    const int GRADIENT_DEPTH
    const int AHEAD
    void PREFETCH(const real* p) noexcept nogil
    void PREFETCH_TO_WRITE(const real* p) noexcept nogil
    real* aligned(real* p) noexcept nogil


cdef extern from "words.h" nogil:
    vec multiply_add(vec a, vec b, vec c) noexcept


cdef inline Product product_of(sz K, const real* a, sz lda, const real* b, sz ldb, real* c,
                               sz ldc) noexcept nogil:
    """C = A B, from zero."""
    cdef Product product
    product.words = NUMBERS
    product.K = K
    product.a, product.lda = a, lda
    product.b, product.ldb = b, ldb
    product.c, product.ldc = c, ldc
    product.start, product.ld_start = NULL, ldc
    return product


cdef inline void tile(int rows, int vectors, bint transposed, bint far, sz blocks,
                      const Product* product) noexcept nogil:
    """C = start + A B for `blocks` tiles below each other, each of `rows` x `vectors`.

    `rows`, `vectors`, `transposed` and `far` are constants at every call.  Where the operands are
    `far`, in no near cache, the next columns of B are fetched ahead, or, where rows of A are not
    contiguous in memory (X'), the rows of both that come next.

    The loop over blocks does more than its work: GCC unrolls loops of constant length, which
    brings `total` into registers, early enough only where they stand inside another loop.
    """
    cdef vec total[14][16]
    cdef vec column[16]
    cdef vec factor
    cdef sz K = product.K, ldb = product.ldb, ld_start = product.ld_start, ldc = product.ldc
    cdef sz row_step = 1 if transposed else product.lda
    cdef sz k_step = product.lda if transposed else 1
    cdef sz next_b = AHEAD * ldb if transposed else vectors * VL
    cdef sz next_a = AHEAD * k_step
    cdef const real* a = product.a
    cdef const real* b = product.b
    cdef const real* start = product.start
    cdef real* c = product.c
    cdef const real* x
    cdef const real* w
    cdef sz block, k
    cdef int i, j
    for block in range(blocks):
        for i in range(rows):
            for j in range(vectors):
                total[i][j] = load(start + i * ld_start + j * VL) if start != NULL else splat(0)
        x = a
        w = b
        for k in range(K):
            for j in range(vectors):
                column[j] = load(w + j * VL)
                if far and j * VL * <int>sizeof(real) % 64 == 0:
                    PREFETCH(w + next_b + j * VL)
            if far and transposed:
                PREFETCH(x + next_a)
            for i in range(rows):
                factor = splat(x[i * row_step])
                for j in range(vectors):
                    total[i][j] = multiply_add(factor, column[j], total[i][j])
            x = x + k_step
            w = w + ldb
        for i in range(rows):
            for j in range(vectors):
                store(c + i * ldc + j * VL, total[i][j])
        a = a + rows * row_step
        c = c + rows * ldc
        if start != NULL:
            start = start + rows * ld_start


cdef inline void tile_of(int vectors, bint transposed, bint far, int rows, sz blocks,
                         const Product* product) noexcept nogil:
    """`tile` for any number of rows: one instance of it for each."""
    if rows == 1: tile(1, vectors, transposed, far, blocks, product)
    elif rows == 2: tile(2, vectors, transposed, far, blocks, product)
    elif rows == 3: tile(3, vectors, transposed, far, blocks, product)
    elif rows == 4: tile(4, vectors, transposed, far, blocks, product)
    elif rows == 5: tile(5, vectors, transposed, far, blocks, product)
    elif rows == 6: tile(6, vectors, transposed, far, blocks, product)
    elif MAX_ROWS == 6: pass
    elif rows == 7: tile(7, vectors, transposed, far, blocks, product)
    elif rows == 8: tile(8, vectors, transposed, far, blocks, product)
    elif rows == 9: tile(9, vectors, transposed, far, blocks, product)
    elif rows == 10: tile(10, vectors, transposed, far, blocks, product)
    elif rows == 11: tile(11, vectors, transposed, far, blocks, product)
    elif rows == 12: tile(12, vectors, transposed, far, blocks, product)
    elif rows == 13: tile(13, vectors, transposed, far, blocks, product)
    elif rows == 14: tile(14, vectors, transposed, far, blocks, product)


# Instances of `tile_of`, by the width of a tile and the way it reads A: a forward product reads
# rows of X, a gradient those of X'.


cdef void tile_2(int rows, sz blocks, const Product* product) noexcept nogil:
    """Two vectors of columns."""
    tile_of(2, False, False, rows, blocks, product)


cdef void tile_2_far(int rows, sz blocks, const Product* product) noexcept nogil:
    tile_of(2, False, True, rows, blocks, product)


cdef void tile_2_transposed(int rows, sz blocks, const Product* product) noexcept nogil:
    tile_of(2, True, False, rows, blocks, product)


cdef void tile_2_transposed_far(int rows, sz blocks, const Product* product) noexcept nogil:
    tile_of(2, True, True, rows, blocks, product)


cdef void tile_1(int rows, sz blocks, const Product* product) noexcept nogil:
    """One vector, for the last columns."""
    tile_of(1, False, False, rows, blocks, product)


cdef void tile_1_transposed(int rows, sz blocks, const Product* product) noexcept nogil:
    tile_of(1, True, False, rows, blocks, product)


cdef inline void tile_wide_of(bint transposed, int rows, sz columns,
                              const Product* product) noexcept nogil:
    """Few rows by 4 vectors or more: chains enough to hide the latency of a multiply-add.

    Nothing is fetched ahead: long runs of a row of B are what processors expect.
    """
    if rows == 1 and columns == WIDE_VECTORS * VL:
        tile(1, WIDE_VECTORS, transposed, False, 1, product)
    elif rows == 1: tile(1, 4, transposed, False, 1, product)
    elif rows == 2: tile(2, 4, transposed, False, 1, product)
    elif FEW_ROWS == 2: pass
    elif rows == 3: tile(3, 4, transposed, False, 1, product)
    elif rows == 4: tile(4, 4, transposed, False, 1, product)


cdef void tile_wide(int rows, sz columns, const Product* product) noexcept nogil:
    tile_wide_of(False, rows, columns, product)


cdef void tile_wide_transposed(int rows, sz columns, const Product* product) noexcept nogil:
    tile_wide_of(True, rows, columns, product)


cdef inline bint is_far(sz columns, sz K, bint transposed) noexcept nogil:
    """Whether the operands of a product are too large for the near caches.

    B of a forward product is, where it takes more than a quarter of a 1 MiB L2; X and dZ of a
    gradient are, where a tile's part of them leaves L1.
    """
    if transposed:
        return K >= GRADIENT_DEPTH
    return columns * K * <sz>sizeof(real) > NEAR_BYTES // 2


cdef inline sz next_block(sz left, sz most) noexcept nogil:
    """Rows of the next block: `left` in equal blocks of at most `most`, so no thin last one."""
    cdef sz blocks = (left + most - 1) // most
    return (left + blocks - 1) // blocks


cdef inline sz next_blocks(sz left, int* rows) noexcept nogil:
    """How many tiles below each other come next, and of how many rows each.

    A few at a time, whose results are in the first cache when they are done.
    """
    if left <= MAX_ROWS:  # without the divisions, which take longer than a small product
        rows[0] = <int>left
        return 1
    cdef sz blocks = (left + MAX_ROWS - 1) // MAX_ROWS
    rows[0] = <int>next_block(left, MAX_ROWS)
    return min(blocks - (blocks * rows[0] - left), <sz>4)


cdef inline sz block_columns(sz rows, sz left) noexcept nogil:
    """Columns of the next tile; `left` is a multiple of VL."""
    if rows == 1 and left >= WIDE_VECTORS * VL:
        return WIDE_VECTORS * VL
    if rows <= FEW_ROWS and left >= 4 * VL:
        return 4 * VL
    return 2 * VL if left >= 2 * VL else VL


cdef inline void tile_any(int rows, sz columns, bint transposed, bint far, sz blocks,
                          const Product* product) noexcept nogil:
    """Tiles of the size that `next_blocks` and `block_columns` chose; `transposed` is constant."""
    if columns == 2 * VL:
        if transposed and far: tile_2_transposed_far(rows, blocks, product)
        elif transposed: tile_2_transposed(rows, blocks, product)
        elif far: tile_2_far(rows, blocks, product)
        else: tile_2(rows, blocks, product)
    elif columns == VL:
        if transposed: tile_1_transposed(rows, blocks, product)
        else: tile_1(rows, blocks, product)
    elif transposed: tile_wide_transposed(rows, columns, product)
    else: tile_wide(rows, columns, product)


cdef inline Product product_part(const Product* product, bint transposed, sz row,
                                 sz column) noexcept nogil:
    """The part of a product from a row and a column of C on."""
    cdef Product part = product[0]
    part.a += row if transposed else row * part.lda
    part.b += column
    if part.start != NULL:
        part.start += row * part.ld_start + column
    part.c += row * part.ldc + column
    return part

# Matrix products on padded rows.
#
# C = A B, one tile of up to MAX_ROWS rows by a few vectors of columns at a time, in
# registers.  Every element of C is one chain of fused multiply-adds over k in rising order,
# whatever tile it falls into: the result does not depend on tiles, threads or batch size.
#
# B and C have rows of whole vectors (a multiple of 16 elements).  A is read one element
# at a time, at any strides: the same code multiplies by X and by X'.

cdef extern from *:
    """
    /* Accumulators for MAX_ROWS x 2 vectors, 2 vectors of B and a broadcast fill the registers:
       32 with AVX-512 and NEON, 16 elsewhere. */
    #if VECTOR_BYTES == 64 || defined(__aarch64__)
    #define MAX_ROWS 14
    #define WIDE_VECTORS 8
    #else
    #define MAX_ROWS 6
    #define WIDE_VECTORS 4
    #endif
    """
    const int MAX_ROWS
    const int WIDE_VECTORS


cdef inline void tile(int rows, int vectors, sz K, const real* a, sz row_step, sz k_step,
                      const real* b, sz ldb, const real* start, sz ld_start,
                      real* c, sz ldc) noexcept nogil:
    """C = start + A B for `rows` x `vectors`; both are constants at every call.

    A[i, k] is a[i * row_step + k * k_step].  `start` is NULL for zero, a bias
    (ld_start = 0), or C itself to accumulate.
    """
    cdef vec total[14][8]
    cdef vec column[8]
    cdef vec factor
    cdef sz k
    cdef int i, j
    for i in range(rows):
        for j in range(vectors):
            total[i][j] = load(start + i * ld_start + j * VL) if start != NULL else splat(0)
    for k in range(K):
        for j in range(vectors):
            column[j] = load(b + j * VL)
        for i in range(rows):
            factor = splat(a[i * row_step])
            for j in range(vectors):
                total[i][j] = fma_(factor, column[j], total[i][j])
        a = a + k_step
        b = b + ldb
    for i in range(rows):
        for j in range(vectors):
            store(c + i * ldc + j * VL, total[i][j])


cdef void tile_2(int rows, sz K, const real* a, sz row_step, sz k_step, const real* b, sz ldb,
                 const real* start, sz ld_start, real* c, sz ldc) noexcept nogil:
    """`tile` of two vectors: one instance for every number of rows."""
    if rows == 1: tile(1, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 2: tile(2, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 3: tile(3, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 4: tile(4, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 5: tile(5, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 6: tile(6, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif MAX_ROWS > 6:
        if rows == 7: tile(7, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 8: tile(8, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 9: tile(9, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 10: tile(10, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 11: tile(11, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 12: tile(12, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 13: tile(13, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 14: tile(14, 2, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)


cdef void tile_1(int rows, sz K, const real* a, sz row_step, sz k_step, const real* b, sz ldb,
                 const real* start, sz ld_start, real* c, sz ldc) noexcept nogil:
    """`tile` of one vector, for the last columns."""
    if rows == 1: tile(1, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 2: tile(2, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 3: tile(3, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 4: tile(4, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 5: tile(5, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif rows == 6: tile(6, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif MAX_ROWS > 6:
        if rows == 7: tile(7, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 8: tile(8, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 9: tile(9, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 10: tile(10, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 11: tile(11, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 12: tile(12, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 13: tile(13, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
        elif rows == 14: tile(14, 1, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)


cdef void tile_wide(sz K, const real* a, sz k_step, const real* b, sz ldb, const real* start,
                    real* c) noexcept nogil:
    """One row by WIDE_VECTORS: enough independent chains to hide the latency of a batch of 1."""
    tile(1, WIDE_VECTORS, K, a, 0, k_step, b, ldb, start, 0, c, 0)


cdef inline int block_rows(sz left) noexcept nogil:
    """Rows of the next tile: `left` in equal blocks of at most MAX_ROWS, so no thin last one."""
    cdef sz blocks = (left + MAX_ROWS - 1) // MAX_ROWS
    return <int>((left + blocks - 1) // blocks)


cdef inline sz block_columns(sz rows, sz left) noexcept nogil:
    """Columns of the next tile; `left` is a multiple of VL."""
    if rows == 1 and left >= WIDE_VECTORS * VL:
        return WIDE_VECTORS * VL
    return 2 * VL if left >= 2 * VL else VL


cdef inline void tile_any(int rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
                          const real* b, sz ldb, const real* start, sz ld_start,
                          real* c, sz ldc) noexcept nogil:
    """One tile of the size `block_rows` and `block_columns` chose."""
    if columns == 2 * VL:
        tile_2(rows, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    elif columns == VL:
        tile_1(rows, K, a, row_step, k_step, b, ldb, start, ld_start, c, ldc)
    else:
        tile_wide(K, a, k_step, b, ldb, start, c)


cdef void gemm(sz rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
               const real* b, sz ldb, const real* start, sz ld_start,
               real* c, sz ldc) noexcept nogil:
    """C = start + A B; `columns` is a multiple of 16, rows of B and C are readable that far."""
    cdef sz n = 0, r, w
    cdef int m
    CHECK(columns % VL == 0 and columns <= ldb and columns <= ldc)
    while n < columns:
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            m = block_rows(rows - r)
            tile_any(m, w, K, a + r * row_step, row_step, k_step, b + n, ldb,
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
    CHECK(columns % VL == 0 and columns <= ldw and columns <= ldo)
    while n < columns:
        w = block_columns(rows, columns - n)
        r = 0
        while r < rows:
            m = block_rows(rows - r)
            c = out + r * ldo + n
            tile_any(m, w, K, x + r * ldx, ldx, 1, weight + n, ldw,
                     bias + n if bias != NULL else NULL, 0, c, ldo)
            if code != IDENTITY:
                for i in range(m):
                    if z != NULL:
                        memcpy(z + (r + i) * ldz + n, c + i * ldo, w * sizeof(real))
                    if slope != NULL:
                        activate_both(code, alpha, w, c + i * ldo, c + i * ldo,
                                      slope + (r + i) * lds + n)
                    else:
                        activate(code, alpha, w, c + i * ldo, c + i * ldo)
            r += m
        n += w


cdef extern from *:
    """
    #if VECTOR_BYTES > 0
    #if defined(__clang__)
    #define SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
    #else
    #define SHUFFLE2(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
    #endif
    #ifdef FASTNN_DOUBLE
    #define LANE_COUNT (VECTOR_BYTES / 8)
    #else
    #define LANE_COUNT (VECTOR_BYTES / 4)
    #endif
    #if LANE_COUNT == 16
    #define LOW_LANES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
    #define HIGH_LANES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
    #elif LANE_COUNT == 8
    #define LOW_LANES 0, 8, 1, 9, 2, 10, 3, 11
    #define HIGH_LANES 4, 12, 5, 13, 6, 14, 7, 15
    #elif LANE_COUNT == 4
    #define LOW_LANES 0, 4, 1, 5
    #define HIGH_LANES 2, 6, 3, 7
    #else
    #define LOW_LANES 0, 2
    #define HIGH_LANES 1, 3
    #endif
    INLINE vec zip_low(vec a, vec b) { return SHUFFLE2(a, b, LOW_LANES); }
    INLINE vec zip_high(vec a, vec b) { return SHUFFLE2(a, b, HIGH_LANES); }
    #else
    INLINE vec zip_low(vec a, vec b) { (void)b; return a; }
    INLINE vec zip_high(vec a, vec b) { (void)a; return b; }
    #endif
    """
    vec zip_low(vec, vec) noexcept nogil
    vec zip_high(vec, vec) noexcept nogil


cdef inline void transpose_vectors(const real* w, sz ldw, sz rows, real* out, sz ldo) noexcept nogil:
    """Transpose VL x VL elements in registers; rows past `rows` count as zero.

    log2(VL) rounds of interleaving row i with row i + VL/2 move element (i, j) to (j, i).
    """
    cdef vec row[16]
    cdef vec zipped[16]
    cdef int i, r = 1
    for i in range(VL):
        row[i] = load(w + i * ldw) if i < rows else splat(0)
    while r < VL:
        for i in range(VL // 2):
            zipped[2 * i] = zip_low(row[i], row[i + VL // 2])
            zipped[2 * i + 1] = zip_high(row[i], row[i + VL // 2])
        for i in range(VL):
            row[i] = zipped[i]
        r *= 2
    for i in range(VL):
        store(out + i * ldo, row[i])


cdef void transpose(sz rows, sz columns, const real* w, sz ldw, real* out, sz ldo) noexcept nogil:
    """out = w'; writes whole vectors, so the padding of the rows of `out` becomes zero."""
    cdef sz i = 0, j
    while i < rows:
        j = 0
        while j < columns:
            transpose_vectors(w + i * ldw + j, ldw, rows - i, out + j * ldo + i, ldo)
            j += VL
        i += VL

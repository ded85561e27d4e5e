# A dense layer on ordinary arrays: rows of any length, nothing padded.  calls/dense.pxi has the
# functions of Python.
#
# The products of gemm.pxi take such rows as they are, where a vector fits into a row of the
# result.  Columns fewer than that pass through small blocks of whole vectors.

cdef enum:
    ALIAS_BYTES = 4096     # rows so far apart, or a multiple, share a few lines of L1 ...
    APART = 16             # ... unless they lie so many elements further apart
    MANY_ROWS = 96         # from here on it pays to copy a weight for that
    NARROW_ROWS = 84       # rows of a narrow result at a time: whole register tiles
    NARROW_DEPTH = 128     # rows of a narrow operand that are padded at a time: they stay in L1
    STREAM_BYTES = 1 << 19 # a weight beyond this leaves no room in L2 for others ...
    STREAMS = 8            # ... and passes by so many rows abreast, for few samples
    PART_BYTES = 4 << 20   # of samples whose part of a gradient is summed at a time: within L3


# ------------------------------------------------------------------------ operands


cdef struct Rows:
    # Rows of samples or of a weight, `ld` elements apart.
    const real* data
    sz ld


cdef sz room_for(sz rows, sz width) noexcept nogil:
    """Elements for `rows_apart` of so many rows; 0 where they are as well off as they are."""
    if rows <= FEW_ROWS or width * <sz>sizeof(real) % ALIAS_BYTES != 0:
        return 0
    return rows * (width + APART)


cdef Rows rows_apart(sz rows, sz width, const real* x, real* room) noexcept nogil:
    """Rows that touch each other, or a copy in `room` of them that suits the caches better."""
    cdef Rows result
    cdef sz r
    result.data = x
    result.ld = width
    if room != NULL:
        result.data = room
        result.ld = width + APART
        for r in range(rows):
            memcpy(room + r * result.ld, x + r * width, width * sizeof(real))
    return result


cdef sz near_rows(sz left, sz width) noexcept nogil:
    """Rows of the next block: what stays in L2 while a weight passes."""
    cdef sz most = min(max(NEAR_BYTES // (width * <sz>sizeof(real)) // MAX_ROWS, 8), 64) * MAX_ROWS
    return next_block(left, most)


cdef sz part_rows(sz left, sz width) noexcept nogil:
    """Rows of the next part of a sum over samples."""
    cdef sz depth = PART_BYTES // (width * <sz>sizeof(real)) // GRADIENT_DEPTH
    return min(left, min(max(depth, 1), 8) * GRADIENT_DEPTH)


# ------------------------------------------------------------------------ products


cdef inline void narrow_gemm_of(bint transposed, sz rows, sz columns,
                                const Product* product) noexcept nogil:
    """`gemm` or `gemm_gradient` for fewer columns than a vector has; `start` may be C."""
    cdef real memory[(NARROW_ROWS + NARROW_DEPTH) * 16 + 16]
    cdef real* panel = aligned(memory)
    cdef real* block = panel + NARROW_DEPTH * VL
    cdef const real* start = product.start
    cdef sz k = 0, r, i, m, ld_start = product.ld_start
    cdef Product part = product[0]
    part.b, part.ldb = panel, VL
    part.start, part.ld_start = block, VL
    part.c, part.ldc = block, VL
    while k < product.K:
        part.K = min(product.K - k, <sz>NARROW_DEPTH)
        for i in range(part.K):
            store(panel + i * VL, take(product.b + (k + i) * product.ldb, columns, 0))
        r = 0
        while r < rows:
            m = min(rows - r, <sz>NARROW_ROWS)
            for i in range(m):
                store(block + i * VL, take(start + (r + i) * ld_start, columns, 0)
                      if start != NULL else splat(0))
            part.a = product.a + (k * part.lda + r if transposed else r * part.lda + k)
            gemm_of(transposed, is_far(VL, part.K, transposed), m, VL, &part)
            for i in range(m):
                put(product.c + (r + i) * product.ldc, columns, load(block + i * VL), False)
            r += m
        start, ld_start = product.c, product.ldc
        k += part.K


cdef void narrow_gemm(sz rows, sz columns, const Product* product) noexcept nogil:
    narrow_gemm_of(False, rows, columns, product)


cdef void narrow_gemm_gradient(sz rows, sz columns, const Product* product) noexcept nogil:
    narrow_gemm_of(True, rows, columns, product)


cdef void dense_rows(sz rows, sz M, const Product* product, const Finish* finish) noexcept nogil:
    """out = f(X W + b); z receives X W + b unless it is NULL."""
    if M >= VL and rows <= FEW_ROWS and product.K * M * <sz>sizeof(real) > STREAM_BYTES:
        stream_rows(rows, M, product)
        finish_tile(rows, M, finish, 0, 0, product.c, M)
    elif M >= VL:
        dense_block(rows, M, product, finish)
    else:
        narrow_gemm(rows, M, product)
        finish_tile(1, rows * M, finish, 0, 0, product.c, 0)  # rows touch each other


cdef void stream_rows(sz rows, sz M, const Product* product) noexcept nogil:
    """out = X W + b, to the bits of `dense_block`: the weight's rows pass once, some abreast.

    Memory is read best so, where no padding keeps rows of the weight apart; `out` stays in L1.
    """
    cdef Product last
    if rows == 1: stream(1, M, product)
    elif rows == 2: stream(2, M, product)
    elif FEW_ROWS == 2: pass
    elif rows == 3: stream(3, M, product)
    elif rows == 4: stream(4, M, product)
    if M % VL > 0:
        last = product_part(product, False, 0, M - VL)
        gemm(rows, VL, &last)


cdef inline void stream(int rows, sz M, const Product* product) noexcept nogil:
    """The whole vectors of `stream_rows`, for a constant number of samples."""
    cdef Product part = product[0]
    cdef sz k = 0
    part.K = STREAMS
    while k + STREAMS <= product.K:
        add_products(rows, M, &part)
        pass_rows(&part, STREAMS)
        k += STREAMS
    part.K = 1
    while k < product.K:
        add_products(rows, M, &part)
        pass_rows(&part, 1)
        k += 1


cdef inline void pass_rows(Product* product, sz depth) noexcept nogil:
    """Go on behind `depth` rows of B, from what C holds now."""
    product.a += depth
    product.b += depth * product.ldb
    product.start, product.ld_start = product.c, product.ldc


cdef inline void add_products(int rows, sz M, const Product* product) noexcept nogil:
    """out = start + X W for a constant number of samples; `start` may be out or NULL."""
    cdef int together = 4 if rows == 1 else 2
    cdef Product part = product[0]
    cdef sz j = 0
    while j + together * VL <= M:
        tile(rows, together, False, False, 1, &part)
        next_columns(&part, together * VL)
        j += together * VL
    while j + VL <= M:
        tile(rows, 1, False, False, 1, &part)
        next_columns(&part, VL)
        j += VL


cdef inline void next_columns(Product* product, sz n) noexcept nogil:
    product.b += n
    product.c += n
    if product.start != NULL:
        product.start += n


cdef void input_gradient(sz rows, sz K, sz M, Rows dz, const real* weight,
                         real* dx) noexcept nogil:
    """dx = dz W', strip by strip."""
    cdef Product product = product_of(M, dz.data, dz.ld, weight, M, dx, K)
    cdef sz n = 0, w
    if K < VL:
        narrow_input_gradient(rows, K, &product)
        return
    while n < K:
        n = tile_start(n, K)
        w = min(<sz>STRIP, (K - n) // VL * VL)
        product.b = weight + n * M
        product.c = dx + n
        gemm_transposed(rows, w, w, &product)
        n += w


cdef void narrow_input_gradient(sz rows, sz K, const Product* product) noexcept nogil:
    """`input_gradient` for fewer inputs than a vector has lanes."""
    cdef real memory[NARROW_ROWS * 16 + 16]
    cdef real* block = aligned(memory)
    cdef Product part = product[0]
    cdef sz r = 0, i, m
    part.c, part.ldc = block, VL
    while r < rows:
        m = min(rows - r, <sz>NARROW_ROWS)
        part.a = product.a + r * part.lda
        gemm_transposed(m, VL, K, &part)
        for i in range(m):
            put(product.c + (r + i) * product.ldc, K, load(block + i * VL), False)
        r += m


cdef void weight_gradient(sz rows, sz K, sz M, Rows x, const real* dz, bint accumulate,
                          real* dweight, real* panel) noexcept nogil:
    """dweight (+)= x' dz, strip by strip; `panel` takes the strip of dz that all of x meets."""
    cdef sz whole = M // VL * VL, n = 0, w, k, r
    cdef Product rest
    if rows <= FEW_SAMPLES and whole > 0 and not accumulate:
        outer_product(rows, K, M, x, dz, dweight)
        return
    while n < whole:
        w = min(<sz>STRIP, whole - n)
        for r in range(rows):
            memcpy(panel + r * STRIP, dz + r * M + n, w * sizeof(real))
        k = 0
        while k < K:
            gradient_tile(min(K - k, <sz>TILE_ROWS), w, rows, x.data + k, x.ld, panel, accumulate,
                          dweight + k * M + n, M)
            k += TILE_ROWS
        n += w
    if whole < M:
        rest = product_of(rows, x.data, x.ld, dz + whole, M, dweight + whole, M)
        if accumulate:
            rest.start = rest.c
        narrow_gemm_gradient(K, M - whole, &rest)


cdef void gradient_tile(sz rows, sz columns, sz samples, const real* x, sz ldx,
                        const real* panel, bint accumulate, real* out, sz ldo) noexcept nogil:
    """One tile of `weight_gradient`, on the stack until it is finished."""
    cdef real memory[TILE_ROWS * STRIP + 16]
    cdef real* g = aligned(memory)
    cdef Product part = product_of(samples, x, ldx, panel, STRIP, out, ldo)
    cdef sz i, row = 0
    if accumulate:
        part.start = out
    if samples <= GRADIENT_DEPTH:
        gemm_gradient(rows, columns, &part)
        return
    part.start, part.ld_start = NULL, STRIP
    part.c, part.ldc = g, STRIP
    if accumulate:
        part.start = g
        for i in range(rows):
            memcpy(g + i * STRIP, out + i * ldo, columns * sizeof(real))
    while row < samples:
        part.K = min(samples - row, <sz>GRADIENT_DEPTH)
        part.a = x + row * ldx
        part.b = panel + row * STRIP
        gemm_gradient(rows, columns, &part)
        part.start = g
        row += GRADIENT_DEPTH
    for i in range(rows):
        memcpy(out + i * ldo, g + i * STRIP, columns * sizeof(real))


cdef void outer_product(sz rows, sz K, sz M, Rows x, const real* dz,
                        real* dweight) noexcept nogil:
    """`weight_gradient` of few samples: written once, from its first element to its last."""
    cdef sz k, j, i
    cdef vec total
    for k in range(K):
        j = 0
        while j < M:
            j = tile_start(j, M)
            total = splat(0)
            for i in range(rows):
                total = fma_(splat(x.data[i * x.ld + k]), load(dz + i * M + j), total)
            store(dweight + k * M + j, total)
            j += VL


cdef void slope_times(int code, real alpha, sz n, const real* z, const real* dy,
                      real* dz) noexcept nogil:
    """dz = dy f'(z)."""
    cdef sz j = 0
    activate_derivative(code, alpha, n, z, dz)
    while j < n:
        put(dz + j, n - j, take(dz + j, n - j, 0) * take(dy + j, n - j, 0), False)
        j += VL


cdef void sum_rows(sz rows, sz columns, const real* x, real* out) noexcept nogil:
    """out = the sum of the rows, in the order of `column_sums`."""
    cdef sz r, first, j = 0
    cdef vec part, total, lost
    while j < columns:
        total = lost = splat(0)
        first = 0
        while first < rows:
            part = splat(0)
            for r in range(first, min(first + SUMMED_ROWS, rows)):
                part = part + take(x + r * columns + j, columns - j, 0)
            total = add_compensated(total, part, &lost)
            first += SUMMED_ROWS
        put(out + j, columns - j, total, False)
        j += VL


# ------------------------------------------------------------------------- kernels


cdef public void set_forward_rooms(DenseCall* d) noexcept nogil:
    """How many elements each room needs that `dense_forward_batch` is to be given."""
    d.sizes[0] = room_for(near_rows(d.N, d.K), d.K)
    d.sizes[1] = room_for(d.K, d.M) if d.N >= MANY_ROWS and is_far(d.M, d.K, False) else 0
    d.sizes[2] = 0


cdef public void dense_forward_batch(const DenseCall* d) noexcept nogil:
    """out = f(x W + b); `z` receives x W + b unless it is NULL."""
    cdef sz row = 0, n, K = d.K, M = d.M
    cdef Rows w = rows_apart(K, M, d.weight, d.rooms[1]), samples
    cdef Finish finish = finish_of(d.code, d.alpha)
    cdef Product product = product_of(K, NULL, 0, w.data, w.ld, NULL, M)
    product.start, product.ld_start = d.bias, 0
    finish.ldz = M
    while row < d.N:
        n = near_rows(d.N - row, K)
        samples = rows_apart(n, K, d.x + row * K, d.rooms[0])
        product.a, product.lda = samples.data, samples.ld
        product.c = d.out + row * M
        if d.z != NULL:
            finish.z = d.z + row * M
        dense_rows(n, M, &product, &finish)
        row += n


cdef public void set_backward_rooms(DenseCall* d) noexcept nogil:
    """How many elements each room needs that `dense_backward_batch` is to be given."""
    d.sizes[0] = room_for(near_rows(d.N, d.M), d.M)
    d.sizes[1] = room_for(part_rows(d.N, d.K), d.K)
    d.sizes[2] = part_rows(d.N, d.K) * STRIP + 16


cdef public void dense_backward_batch(const DenseCall* d) noexcept nogil:
    """dz = dy f'(z), dx = dz W', dweight = x' dz, dbias = sum(dz); dx and dbias may be NULL."""
    cdef sz row = 0, n, K = d.K, M = d.M
    cdef real* dz
    while row < d.N:
        n = near_rows(d.N - row, M)
        dz = d.dz + row * M
        slope_times(d.code, d.alpha, n * M, d.z + row * M, d.dy + row * M, dz)
        if d.dx != NULL:
            input_gradient(n, K, M, rows_apart(n, M, dz, d.rooms[0]), d.weight, d.dx + row * K)
        row += n
    if d.dbias != NULL:
        sum_rows(d.N, M, d.dz, d.dbias)
    row = 0
    while row < d.N:
        n = part_rows(d.N - row, K)
        weight_gradient(n, K, M, rows_apart(n, K, d.x + row * K, d.rooms[1]), d.dz + row * M,
                        row > 0, d.dweight, aligned(d.rooms[2]))
        row += n

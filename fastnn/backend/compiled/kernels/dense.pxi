# A dense layer on ordinary arrays: rows of any length, nothing padded.
#
# The products of gemm.pxi take such rows as they are, where a vector fits into a row of the
# result.  Columns fewer than that pass through small blocks of whole vectors.

import numpy as _np

_real = _np.float64 if sizeof(real) == 8 else _np.float32

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


cdef real[:, ::1] room_for(sz rows, sz width):
    """Memory for `rows_apart` of so many rows; None where they are as well off as they are."""
    if rows <= FEW_ROWS or width * <sz>sizeof(real) % ALIAS_BYTES != 0:
        return None
    return _np.empty((rows, width + APART), _real)


cdef Rows rows_apart(sz rows, sz width, const real* x, real[:, ::1] room) noexcept nogil:
    """Rows that touch each other, or a copy in `room` of them that suits the caches better."""
    cdef Rows result
    cdef sz r
    result.data = x
    result.ld = width
    if room is not None:
        CHECK(rows <= room.shape[0] and width + APART <= room.shape[1])
        result.data = &room[0, 0]
        result.ld = width + APART
        for r in range(rows):
            memcpy(&room[r, 0], x + r * width, width * sizeof(real))
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


cdef void narrow_gemm(sz rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
                      const real* b, sz ldb, const real* start, sz ld_start,
                      real* c, sz ldc) noexcept nogil:
    """C = start + A B for fewer columns than a vector has; `start` may be C."""
    cdef real memory[(NARROW_ROWS + NARROW_DEPTH) * 16 + 16]
    cdef real* panel = aligned(memory)
    cdef real* block = panel + NARROW_DEPTH * VL
    cdef sz k = 0, r, i, m, depth
    while k < K:
        depth = min(K - k, <sz>NARROW_DEPTH)
        for i in range(depth):
            store(panel + i * VL, take(b + (k + i) * ldb, columns, 0))
        r = 0
        while r < rows:
            m = min(rows - r, <sz>NARROW_ROWS)
            for i in range(m):
                store(block + i * VL, take(start + (r + i) * ld_start, columns, 0)
                      if start != NULL else splat(0))
            gemm(m, VL, depth, a + r * row_step + k * k_step, row_step, k_step, panel, VL,
                 block, VL, block, VL)
            for i in range(m):
                put(c + (r + i) * ldc, columns, load(block + i * VL), False)
            r += m
        start = c
        ld_start = ldc
        k += depth


cdef void dense_rows(sz rows, sz M, sz K, Rows x, Rows weight, const real* bias, int code,
                     real alpha, real* z, real* out) noexcept nogil:
    """out = f(X W + b); z receives X W + b unless it is NULL."""
    if M >= VL and rows <= FEW_ROWS and K * M * <sz>sizeof(real) > STREAM_BYTES:
        stream_rows(rows, M, K, x, weight, bias, out)
        finish_tile(rows, M, code, alpha, z, M, NULL, 0, out, M)
    elif M >= VL:
        dense_block(rows, M, K, x.data, x.ld, weight.data, weight.ld, bias, code, alpha, z, M,
                    NULL, 0, out, M)
    else:
        narrow_gemm(rows, M, K, x.data, x.ld, 1, weight.data, weight.ld, bias, 0, out, M)
        finish_tile(1, rows * M, code, alpha, z, 0, NULL, 0, out, 0)


cdef void stream_rows(sz rows, sz M, sz K, Rows x, Rows weight, const real* bias,
                      real* out) noexcept nogil:
    """out = X W + b, to the bits of `dense_block`: the weight's rows pass once, some abreast.

    Memory is read best so, where no padding keeps rows of the weight apart; `out` stays in L1.
    """
    cdef sz last = M - VL
    if rows == 1: stream(1, M, K, x, weight, bias, out)
    elif rows == 2: stream(2, M, K, x, weight, bias, out)
    elif FEW_ROWS == 2: pass
    elif rows == 3: stream(3, M, K, x, weight, bias, out)
    elif rows == 4: stream(4, M, K, x, weight, bias, out)
    if M % VL > 0:
        gemm(rows, VL, K, x.data, x.ld, 1, weight.data + last, weight.ld,
             bias + last if bias != NULL else NULL, 0, out + last, M)


cdef inline void stream(int rows, sz M, sz K, Rows x, Rows weight, const real* bias,
                        real* out) noexcept nogil:
    """The whole vectors of `stream_rows`, for a constant number of samples."""
    cdef const real* start = bias
    cdef sz k = 0
    while k + STREAMS <= K:
        add_products(rows, STREAMS, M, x.data + k, x.ld, weight.data + k * weight.ld, weight.ld,
                     start, M if k > 0 else 0, out)
        start = out
        k += STREAMS
    while k < K:
        add_products(rows, 1, M, x.data + k, x.ld, weight.data + k * weight.ld, weight.ld,
                     start, M if k > 0 else 0, out)
        start = out
        k += 1


cdef inline void add_products(int rows, int depth, sz M, const real* x, sz ldx, const real* w,
                              sz ldw, const real* start, sz ld_start, real* out) noexcept nogil:
    """out = start + X W for constants of samples and of rows of W; `start` may be out or NULL."""
    cdef int together = 4 if rows == 1 else 2
    cdef sz j = 0
    while j + together * VL <= M:
        tile(rows, together, False, 1, depth, x, ldx, 1, w + j, ldw,
             start + j if start != NULL else NULL, ld_start, out + j, M)
        j += together * VL
    while j + VL <= M:
        tile(rows, 1, False, 1, depth, x, ldx, 1, w + j, ldw,
             start + j if start != NULL else NULL, ld_start, out + j, M)
        j += VL


cdef void input_gradient(sz rows, sz K, sz M, Rows dz, const real* weight,
                         real* dx) noexcept nogil:
    """dx = dz W', strip by strip."""
    cdef sz n = 0, w
    if K < VL:
        narrow_input_gradient(rows, K, M, dz, weight, dx)
        return
    while n < K:
        n = tile_start(n, K)
        w = min(<sz>STRIP, (K - n) // VL * VL)
        gemm_transposed(rows, w, M, dz.data, dz.ld, weight + n * M, M, w, False, dx + n, K)
        n += w


cdef void narrow_input_gradient(sz rows, sz K, sz M, Rows dz, const real* weight,
                                real* dx) noexcept nogil:
    """`input_gradient` for fewer inputs than a vector has lanes."""
    cdef real memory[NARROW_ROWS * 16 + 16]
    cdef real* block = aligned(memory)
    cdef sz r = 0, i, m
    while r < rows:
        m = min(rows - r, <sz>NARROW_ROWS)
        gemm_transposed(m, VL, M, dz.data + r * dz.ld, dz.ld, weight, M, K, False, block, VL)
        for i in range(m):
            put(dx + (r + i) * K, K, load(block + i * VL), False)
        r += m


cdef void weight_gradient(sz rows, sz K, sz M, Rows x, const real* dz, bint accumulate,
                          real* dweight, real* panel) noexcept nogil:
    """dweight (+)= x' dz, strip by strip; `panel` takes the strip of dz that all of x meets."""
    cdef sz whole = M // VL * VL, n = 0, w, k, r
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
        narrow_gemm(K, M - whole, rows, x.data, 1, x.ld, dz + whole, M,
                    dweight + whole if accumulate else NULL, M, dweight + whole, M)


cdef void gradient_tile(sz rows, sz columns, sz samples, const real* x, sz ldx,
                        const real* panel, bint accumulate, real* out, sz ldo) noexcept nogil:
    """One tile of `weight_gradient`, on the stack until it is finished."""
    cdef real memory[TILE_ROWS * STRIP + 16]
    cdef real* g = aligned(memory)
    cdef sz i, row = 0
    if samples <= GRADIENT_DEPTH:
        gemm(rows, columns, samples, x, 1, ldx, panel, STRIP, out if accumulate else NULL, ldo,
             out, ldo)
        return
    if accumulate:
        for i in range(rows):
            memcpy(g + i * STRIP, out + i * ldo, columns * sizeof(real))
    while row < samples:
        gemm(rows, columns, min(samples - row, <sz>GRADIENT_DEPTH), x + row * ldx, 1, ldx,
             panel + row * STRIP, STRIP, g if accumulate or row > 0 else NULL, STRIP, g, STRIP)
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


cdef void add_rows(sz rows, sz columns, const real* x, real* out) noexcept nogil:
    """out += the rows, in order."""
    cdef sz r, j = 0
    cdef vec total
    while j < columns:
        total = take(out + j, columns - j, 0)
        for r in range(rows):
            total = total + take(x + r * columns + j, columns - j, 0)
        put(out + j, columns - j, total, False)
        j += VL


# ------------------------------------------------------------------------- kernels


def dense_forward(const real[:, ::1] x, const real[:, ::1] weight, const real[::1] bias, name,
                  double alpha, real[:, ::1] z, real[:, ::1] out):
    """out = f(x W + b); `z` receives x W + b unless it is None."""
    cdef sz N = x.shape[0], K = x.shape[1], M = weight.shape[1], row = 0, n
    cdef int code = activation_code(name)
    cdef const real* start = pointer_to(bias)
    cdef real* kept = NULL if z is None else &z[0, 0]
    cdef real[:, ::1] room = room_for(near_rows(N, K), K)
    cdef real[:, ::1] weight_room = None
    cdef Rows w
    if N >= MANY_ROWS and is_far(M, K, 1):
        weight_room = room_for(K, M)
    with nogil:
        w = rows_apart(K, M, &weight[0, 0], weight_room)
        while row < N:
            n = near_rows(N - row, K)
            dense_rows(n, M, K, rows_apart(n, K, &x[row, 0], room), w, start, code, <real>alpha,
                       kept + row * M if kept != NULL else NULL, &out[row, 0])
            row += n


def dense_backward(const real[:, ::1] x, const real[:, ::1] weight, const real[:, ::1] z,
                   const real[:, ::1] dy, name, double alpha, real[:, ::1] dz, real[:, ::1] dx,
                   real[:, ::1] dweight, real[::1] dbias):
    """dz = dy f'(z), dx = dz W', dweight = x' dz, dbias = sum(dz); dx and dbias may be None."""
    cdef sz N = x.shape[0], K = x.shape[1], M = weight.shape[1], row = 0, n
    cdef int code = activation_code(name)
    cdef real* inputs = NULL if dx is None else &dx[0, 0]
    cdef real* sums = NULL if dbias is None else &dbias[0]
    cdef real[:, ::1] room = room_for(near_rows(N, M), M)
    cdef real[:, ::1] sample_room = room_for(part_rows(N, K), K)
    cdef real[::1] panel = _np.empty(part_rows(N, K) * STRIP + 16, _real)
    with nogil:
        if sums != NULL:
            memset(sums, 0, M * sizeof(real))
        while row < N:
            n = near_rows(N - row, M)
            slope_times(code, <real>alpha, n * M, &z[row, 0], &dy[row, 0], &dz[row, 0])
            if sums != NULL:
                add_rows(n, M, &dz[row, 0], sums)
            if inputs != NULL:
                input_gradient(n, K, M, rows_apart(n, M, &dz[row, 0], room), &weight[0, 0],
                               inputs + row * K)
            row += n
        row = 0
        while row < N:
            n = part_rows(N - row, K)
            weight_gradient(n, K, M, rows_apart(n, K, &x[row, 0], sample_room), &dz[row, 0],
                            row > 0, &dweight[0, 0], aligned(&panel[0]))
            row += n

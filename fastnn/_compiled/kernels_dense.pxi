# A dense layer on ordinary arrays: rows of any length, nothing padded.
#
# The products of gemm.pxi want whole vectors of columns.  The last columns of a matrix go
# through a packed copy of them, 16 wide, the rest where they are.

import numpy as _np

_real = _np.float64 if sizeof(real) == 8 else _np.float32


cdef sz whole_columns(sz columns) noexcept nogil:
    """Columns before the packed edge."""
    return columns // 16 * 16


cdef real[:, ::1] pack_edge(sz rows, sz columns, const real* b):
    """The last columns % 16 columns of a matrix, with zeros up to 16; None if there are none."""
    cdef real[:, ::1] edge
    cdef sz whole = whole_columns(columns), i
    if whole == columns:
        return None
    edge = _np.zeros((rows, 16), _real)
    for i in range(rows):
        memcpy(&edge[i, 0], b + i * columns + whole, (columns - whole) * sizeof(real))
    return edge


cdef real[:, ::1] transposed(sz rows, sz columns, const real* w):
    """w', its rows padded with zeros to a multiple of 16."""
    cdef real[:, ::1] out = _np.zeros((columns, (rows + 15) // 16 * 16), _real)
    cdef sz whole = whole_columns(columns), i, j
    transpose(rows, out.shape[1], whole, w, columns, &out[0, 0], out.shape[1])
    for i in range(rows):
        for j in range(whole, columns):
            out[j, i] = w[i * columns + j]
    return out


cdef void product(sz rows, sz columns, sz K, const real* a, sz row_step, sz k_step,
                  const real* b, sz ldb, const real* edge, sz ld_edge, const real* bias,
                  real* c, sz ldc) noexcept nogil:
    """C = bias + A B for any number of columns; `edge` is what follows B's whole columns."""
    cdef real start[16]
    cdef real block[16 * 16]
    cdef sz whole = whole_columns(columns), r = 0, i, m
    cdef sz left = columns - whole
    gemm(rows, whole, K, a, row_step, k_step, b, ldb, bias, 0, c, ldc)
    if left == 0:
        return
    memset(start, 0, sizeof(start))
    if bias != NULL:
        memcpy(start, bias + whole, left * sizeof(real))
    while r < rows:
        m = min(rows - r, <sz>16)
        gemm(m, 16, K, a + r * row_step, row_step, k_step, edge, ld_edge, start, 0, block, 16)
        for i in range(m):
            memcpy(c + (r + i) * ldc + whole, block + 16 * i, left * sizeof(real))
        r += m


cdef const real* edge_of(const real[:, ::1] edge) noexcept:
    if edge is None:
        return NULL
    return &edge[0, 0]


def dense_forward(const real[:, ::1] x, const real[:, ::1] weight, const real[::1] bias, name,
                  double alpha, real[:, ::1] z, real[:, ::1] out):
    """out = f(x W + b); `z` receives x W + b unless it is None."""
    cdef sz N = x.shape[0], K = x.shape[1], M = weight.shape[1], row = 0, n
    cdef int code = activation_code(name)
    cdef real[:, ::1] packed = pack_edge(K, M, &weight[0, 0])
    cdef const real* edge = edge_of(packed)
    cdef const real* start = pointer_to(bias)
    cdef real* kept = NULL if z is None else &z[0, 0]
    with nogil:
        while row < N:
            # Few enough rows that they are still in cache for the activation.
            n = min(N - row, <sz>64)
            product(n, M, K, &x[row, 0], K, 1, &weight[0, 0], M, edge, 16, start, &out[row, 0], M)
            if kept != NULL:
                memcpy(kept + row * M, &out[row, 0], n * M * sizeof(real))
            activate(code, <real>alpha, n * M, &out[row, 0], &out[row, 0])
            row += n


def dense_backward(const real[:, ::1] x, const real[:, ::1] weight, const real[:, ::1] z,
                   const real[:, ::1] dy, name, double alpha, real[:, ::1] dz, real[:, ::1] dx,
                   real[:, ::1] dweight, real[::1] dbias):
    """dz = dy f'(z), dx = dz W', dweight = x' dz, dbias = sum(dz); dx and dbias may be None."""
    cdef sz N = x.shape[0], K = x.shape[1], M = weight.shape[1]
    cdef int code = activation_code(name)
    cdef real[:, ::1] packed, turned
    cdef const real* edge
    with nogil:
        activate_derivative(code, <real>alpha, N * M, &z[0, 0], &dz[0, 0])
        multiply_row(N * M, &dy[0, 0], &dz[0, 0])
    packed = pack_edge(N, M, &dz[0, 0])
    edge = edge_of(packed)
    with nogil:
        product(K, M, N, &x[0, 0], 1, K, &dz[0, 0], M, edge, 16, NULL, &dweight[0, 0], M)
        if dbias is not None:
            sum_columns(N, M, &dz[0, 0], &dbias[0])
    if dx is not None:
        turned = transposed(K, M, &weight[0, 0])
        edge = &turned[0, 0] + whole_columns(K)
        with nogil:
            product(N, K, M, &dz[0, 0], M, 1, &turned[0, 0], turned.shape[1], edge,
                    turned.shape[1], NULL, &dx[0, 0], K)


cdef void multiply_row(sz n, const real* x, real* out) noexcept nogil:
    """out *= x."""
    cdef sz j = 0
    while j + VL <= n:
        store(out + j, load(out + j) * load(x + j))
        j += VL
    if j < n:
        put(out + j, n - j, take(out + j, n - j, 0) * take(x + j, n - j, 0), False)


cdef void sum_columns(sz rows, sz columns, const real* x, real* out) noexcept nogil:
    """The sum of the rows, in order."""
    cdef sz i, j = 0
    cdef vec total
    while j < columns:
        total = splat(0)
        for i in range(rows):
            total = total + take(x + i * columns + j, columns - j, 0)
        put(out + j, columns - j, total, False)
        j += VL

# A dense layer on ordinary arrays.


cdef list dense_rooms(DenseCall* dense):
    """Memory of the sizes that a call needs; it lives as long as the list."""
    cdef list rooms = []
    cdef real[::1] room
    cdef int i
    for i in range(3):
        dense.rooms[i] = NULL
        if dense.sizes[i] > 0:
            room = _np.empty(dense.sizes[i], REAL_DTYPE)
            dense.rooms[i] = &room[0]
            rooms.append(room)
    return rooms


def dense_forward(const real[:, ::1] x, const real[:, ::1] weight, const real[::1] bias, name,
                  double alpha, real[:, ::1] z, real[:, ::1] out):
    """out = f(x W + b); `z` receives x W + b unless it is None."""
    cdef DenseCall dense
    memset(&dense, 0, sizeof(DenseCall))
    dense.N, dense.K, dense.M = x.shape[0], x.shape[1], weight.shape[1]
    dense.code, dense.alpha = activation_code(name), <real>alpha
    dense.x, dense.weight, dense.bias = &x[0, 0], &weight[0, 0], pointer_to(bias)
    if z is not None:
        dense.z = &z[0, 0]
    dense.out = &out[0, 0]
    set_forward_rooms(&dense)
    rooms = dense_rooms(&dense)
    with nogil:
        dense_forward_batch(&dense)


def dense_backward(const real[:, ::1] x, const real[:, ::1] weight, const real[:, ::1] z,
                   const real[:, ::1] dy, name, double alpha, real[:, ::1] dz, real[:, ::1] dx,
                   real[:, ::1] dweight, real[::1] dbias):
    """dz = dy f'(z), dx = dz W', dweight = x' dz, dbias = sum(dz); dx and dbias may be None."""
    cdef DenseCall dense
    memset(&dense, 0, sizeof(DenseCall))
    dense.N, dense.K, dense.M = x.shape[0], x.shape[1], weight.shape[1]
    dense.code, dense.alpha = activation_code(name), <real>alpha
    dense.x, dense.weight, dense.z = &x[0, 0], &weight[0, 0], <real*>&z[0, 0]
    dense.dy, dense.dz, dense.dweight = &dy[0, 0], &dz[0, 0], &dweight[0, 0]
    if dx is not None:
        dense.dx = &dx[0, 0]
    if dbias is not None:
        dense.dbias = &dbias[0]
    set_backward_rooms(&dense)
    rooms = dense_rooms(&dense)
    with nogil:
        dense_backward_batch(&dense)


def product_bfloat16(a, b, bint a_transposed, bint b_transposed, real[:, ::1] out):
    """out += a b, or with their transposes, of operands rounded to bfloat16."""
    cdef HalfProduct p
    cdef real[:, ::1] rows_a, rows_b, c
    cdef real[::1] a_room, b_room
    if sizeof(real) != 4:
        raise TypeError("products in bfloat16 are of float32 arrays, got float64")
    p.N, p.M = out.shape[0], out.shape[1]
    p.K = a.shape[0 if a_transposed else 1]
    p.a_transposed, p.b_transposed = a_transposed, b_transposed
    rows_a, rows_b = zero_padded(a), zero_padded(b)
    c = _np.zeros((p.N, (p.M + 31) // 32 * 32), REAL_DTYPE)
    _np.asarray(c)[:, : p.M] = out
    p.lda, p.ldb, p.ldc = rows_a.shape[1], rows_b.shape[1], c.shape[1]
    a_room = _np.zeros(rows_a.size, REAL_DTYPE)
    b_room = _np.zeros((p.K + 1) // 2 * p.ldc, REAL_DTYPE)
    p.a, p.b, p.c = &rows_a[0, 0], &rows_b[0, 0], &c[0, 0]
    p.a_room, p.b_room = &a_room[0], &b_room[0]
    with nogil:
        multiply_halves(&p)
    out[...] = c[:, : p.M]


cdef zero_padded(x):
    """A copy with zeros behind each row, and a row of zeros behind the last of an odd number."""
    rows = _np.zeros(((x.shape[0] + 1) // 2 * 2, (x.shape[1] + 31) // 32 * 32), REAL_DTYPE)
    rows[: x.shape[0], : x.shape[1]] = x
    return rows

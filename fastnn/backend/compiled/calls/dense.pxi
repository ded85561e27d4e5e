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

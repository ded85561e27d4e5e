"""One step of an optimizer over n contiguous parameters.

`g` is the gradient without the penalty; the gradient used is g + l2 * p.  What does not change
within a step is worked out once, in double, and rounded: an `Update` holds it.
"""

from libc.math cimport pow as power, sqrt

from fastnn.backend.compiled.rows.rows cimport put, take, within
from fastnn.backend.compiled.simd.simd cimport VL, fma_, load, real, splat, sqrt_, store, vec

cdef enum Optimizer:
    GRADIENT_DESCENT
    MOMENTUM
    RMSPROP
    ADAM

cdef struct Update:
    Optimizer kind
    bint nesterov
    bint bias_correction
    # As given.
    double first_decay       # momentum, or beta1
    double second_decay      # rho, or beta2
    double weight_decay
    # Coefficients of the loops, set by `set_step`.
    real keep_first          # first_decay
    real add_first           # 1 - beta1
    real keep_second         # second_decay
    real add_second          # 1 - second_decay
    real rate                # learning rate; adam: over 1 - beta1**step
    real root                # adam: 1 / sqrt(1 - beta2**step)
    real shrink              # adam: 1 - learning_rate * weight_decay
    real epsilon
    real l2

cdef struct Outer:
    # X' dZ of a few samples: rows of x are ldx apart, those of dz ldz.
    const real* x
    Py_ssize_t ldx
    const real* dz
    Py_ssize_t ldz
    Py_ssize_t n_samples
    Py_ssize_t width         # columns of dz that count; what follows them is padding


cdef inline void set_step(Update* u, double learning_rate, Py_ssize_t step) noexcept nogil:
    """Work out the coefficients of step number `step`, which counts from 1."""
    u.keep_first = <real>u.first_decay
    u.add_first = <real>(1 - u.first_decay)
    u.keep_second = <real>u.second_decay
    u.add_second = <real>(1 - u.second_decay)
    u.rate = <real>learning_rate
    u.root = 1
    u.shrink = <real>(1 - learning_rate * u.weight_decay)
    if u.kind == ADAM and u.bias_correction:
        u.rate = <real>(learning_rate / (1 - power(u.first_decay, <double>step)))
        u.root = <real>(1 / sqrt(1 - power(u.second_decay, <double>step)))


cdef inline void set_steps(Update* weights, Update* vectors, double learning_rate,
                           Py_ssize_t step) noexcept nogil:
    """`set_step` of two updates that differ in their weight decay alone."""
    cdef double decay = vectors.weight_decay
    set_step(weights, learning_rate, step)
    vectors[0] = weights[0]
    vectors.weight_decay = decay
    vectors.shrink = <real>(1 - learning_rate * decay)


cdef inline void apply_update(const Update* u, Py_ssize_t n, const real* g, real* p,
                              real* first, real* second) noexcept nogil:
    """Update n parameters and their state: none, velocity, square, or first and second moment.

    `first` and `second` may be NULL where the optimizer has no such state.
    """
    update_tile(u, 1, n, g, 0, p, first, second, 0)


cdef inline void update_tile(const Update* u, Py_ssize_t rows, Py_ssize_t columns, const real* g,
                             Py_ssize_t ldg, real* p, real* first, real* second,
                             Py_ssize_t ld) noexcept nogil:
    """`apply_update` to some rows; gradients are ldg apart, parameters and state ld."""
    if u.kind == ADAM:
        update_rows(ADAM, u, rows, columns, g, ldg, p, first, second, ld)
    elif u.kind == MOMENTUM:
        update_rows(MOMENTUM, u, rows, columns, g, ldg, p, first, NULL, ld)
    elif u.kind == RMSPROP:
        update_rows(RMSPROP, u, rows, columns, g, ldg, p, first, NULL, ld)
    else:
        update_rows(GRADIENT_DESCENT, u, rows, columns, g, ldg, p, NULL, NULL, ld)


cdef inline void update_rows(Optimizer kind, const Update* u, Py_ssize_t rows, Py_ssize_t columns,
                             const real* g, Py_ssize_t ldg, real* p, real* first, real* second,
                             Py_ssize_t ld) noexcept nogil:
    cdef Update local = u[0]  # which no store to the arrays can change
    cdef Py_ssize_t r, j, at
    for r in range(rows):
        j = 0
        at = r * ld
        while j + VL <= columns:
            update_vector(kind, &local, VL, load(g + r * ldg + j), p, first, second, at + j)
            j += VL
        if j < columns:
            update_vector(kind, &local, columns - j, take(g + r * ldg + j, columns - j, 0),
                          p, first, second, at + j)


cdef inline void update_outer(const Update* u, const Outer* o, Py_ssize_t rows, Py_ssize_t columns,
                              real* p, real* first, real* second, Py_ssize_t ld) noexcept nogil:
    """`update_tile` with the gradient X' dZ of a few samples, which is never stored."""
    if o.n_samples == 1:
        update_outer_of(1, u, o, rows, columns, p, first, second, ld)
    else:
        update_outer_of(o.n_samples, u, o, rows, columns, p, first, second, ld)


cdef inline void update_outer_of(Py_ssize_t n_samples, const Update* u, const Outer* o,
                                 Py_ssize_t rows, Py_ssize_t columns, real* p, real* first,
                                 real* second, Py_ssize_t ld) noexcept nogil:
    """`update_outer`; where `n_samples` is a constant, there is no loop over them."""
    if u.kind == ADAM:
        update_outer_rows(ADAM, n_samples, u, o, rows, columns, p, first, second, ld)
    elif u.kind == MOMENTUM:
        update_outer_rows(MOMENTUM, n_samples, u, o, rows, columns, p, first, NULL, ld)
    elif u.kind == RMSPROP:
        update_outer_rows(RMSPROP, n_samples, u, o, rows, columns, p, first, NULL, ld)
    else:
        update_outer_rows(GRADIENT_DESCENT, n_samples, u, o, rows, columns, p, NULL, NULL, ld)


cdef inline void update_outer_rows(Optimizer kind, Py_ssize_t n_samples, const Update* u,
                                   const Outer* o, Py_ssize_t rows, Py_ssize_t columns, real* p,
                                   real* first, real* second, Py_ssize_t ld) noexcept nogil:
    cdef Update local = u[0]
    cdef Outer outer = o[0]
    cdef Py_ssize_t r, j, i
    cdef vec gradient
    for r in range(rows):
        j = 0
        while j < columns:
            gradient = splat(0)
            for i in range(n_samples):
                gradient = fma_(splat(outer.x[i * outer.ldx + r]),
                                load(outer.dz + i * outer.ldz + j), gradient)
            update_vector(kind, &local, VL, within(gradient, 0, outer.width - j),
                          p, first, second, r * ld + j)
            j += VL


cdef inline void update_vector(Optimizer kind, const Update* u, Py_ssize_t n, vec gradient,
                               real* p, real* first, real* second, Py_ssize_t j) noexcept nogil:
    """One vector at j, n elements of it.  `kind` is a constant."""
    cdef vec parameter = take(p + j, n, 0)
    cdef vec m, v
    gradient = fma_(splat(u.l2), parameter, gradient)
    if kind == GRADIENT_DESCENT:
        parameter = fma_(splat(-u.rate), gradient, parameter)
    elif kind == MOMENTUM:
        # v = mu v - lr g; p += v, and Nesterov's p += mu v - lr g with the new v.
        gradient = splat(u.rate) * gradient
        m = fma_(splat(u.keep_first), take(first + j, n, 0), -gradient)
        put(first + j, n, m, False)
        if u.nesterov:
            m = fma_(splat(u.keep_first), m, -gradient)
        parameter = parameter + m
    elif kind == RMSPROP:
        # s = rho s + (1 - rho) g**2; p -= lr g / (sqrt(s) + eps).
        v = fma_(splat(u.add_second) * gradient, gradient,
                 splat(u.keep_second) * take(first + j, n, 0))
        put(first + j, n, v, False)
        parameter = parameter - splat(u.rate) * gradient / (sqrt_(v) + splat(u.epsilon))
    else:
        # m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g**2;
        # p = (1 - lr wd) p - lr m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps).
        m = fma_(splat(u.add_first), gradient, splat(u.keep_first) * take(first + j, n, 0))
        v = fma_(splat(u.add_second) * gradient, gradient,
                 splat(u.keep_second) * take(second + j, n, 0))
        put(first + j, n, m, False)
        put(second + j, n, v, False)
        m = splat(u.rate) * m / fma_(sqrt_(v), splat(u.root), splat(u.epsilon))
        parameter = fma_(splat(u.shrink), parameter, -m)
    put(p + j, n, parameter, False)


cdef inline double sum_of_squares(Py_ssize_t n, const real* x) noexcept nogil:
    """sum(x**2) in double: element j goes to lane j % 16, lanes are added as in `sum_row`."""
    cdef double total[16]
    cdef double v
    cdef Py_ssize_t j = 0
    cdef int i
    for i in range(16):
        total[i] = 0
    while j + 16 <= n:
        for i in range(16):
            v = x[j + i]
            total[i] = total[i] + v * v
        j += 16
    for i in range(<int>(n - j)):
        v = x[j + i]
        total[i] = total[i] + v * v
    for i in range(8):
        total[i] = total[i] + total[i + 8]
    for i in range(4):
        total[i] = total[i] + total[i + 4]
    for i in range(2):
        total[i] = total[i] + total[i + 2]
    return total[0] + total[1]


cdef inline void scale_row(Py_ssize_t n, real factor, real* x) noexcept nogil:
    """x *= factor."""
    cdef Py_ssize_t j = 0
    while j + VL <= n:
        store(x + j, splat(factor) * load(x + j))
        j += VL
    if j < n:
        put(x + j, n - j, splat(factor) * take(x + j, n - j, 0), False)

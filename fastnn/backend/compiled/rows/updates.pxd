"""One step of an optimizer over n contiguous parameters.

An update called ``name`` in fastnn/facts/updates.py has two functions here.
``name_coefficients(u, learning_rate, step)`` works out once, in double, what does not change
within a step, and rounds it.  ``name(u, n, p, g, state, j)`` is the formula: it returns the new
parameters of one vector, n elements from j on, and writes their state.  `g` is the gradient with
its penalty, which callers have added.
"""

from libc.math cimport pow as power, sqrt
from libc.string cimport memset

from fastnn.backend.compiled.rows.rows cimport put, take, within
from fastnn.backend.compiled.simd.simd cimport (
    VL, abs_, copy_sign, fma_, less, load, real, select, splat, sqrt_, store, vec
)

cdef extern from *:
    """
    #define NORM_UNIT 0x1p-600    /* brings the square of any number within range */
    #define LEAST_FACTOR 0x1p-64  /* smaller factors are applied in two steps */
    """
    const double NORM_UNIT
    const double LEAST_FACTOR

include "../generated/update_codes.pxi"

cdef struct Update:
    int code
    Numbers numbers          # as given
    double learning_rate     # of the step
    # Coefficients of the loops, set by `set_step`.
    real keep_first          # of a first moving average ...
    real add_first
    real keep_second         # ... and of a second
    real add_second
    real rate                # learning rate; adam: over 1 - beta1**step
    real root                # adam: 1 / sqrt(1 - beta2**step)
    real shrink              # 1 - learning_rate * weight_decay
    real epsilon
    bint nesterov
    bint forgets             # some slot ...
    bint is_forgotten[MAX_SLOTS]

cdef struct State:
    # The parameters of a tile and the arrays of state, which are laid out alike.
    real* parameters
    real* slots[MAX_SLOTS]

cdef struct Outer:
    # X' dZ of a few samples: rows of x are ldx apart, those of dz ldz.
    const real* x
    Py_ssize_t ldx
    const real* dz
    Py_ssize_t ldz
    Py_ssize_t n_samples
    Py_ssize_t width         # columns of dz that count; what follows them is padding

include "../generated/update_dispatch.pxi"  # the formula by the code


cdef inline void set_step(Update* u, double learning_rate, Py_ssize_t step) noexcept nogil:
    """Work out the coefficients of step number `step`, which counts from 1."""
    u.learning_rate = learning_rate
    u.rate = <real>learning_rate
    u.shrink = <real>(1 - learning_rate * u.numbers.weight_decay)
    set_coefficients(u, learning_rate, step)
    u.forgets = u.is_forgotten[0] or u.is_forgotten[1]


cdef inline void set_steps(Update* weights, Update* vectors, double learning_rate,
                           Py_ssize_t step) noexcept nogil:
    """`set_step` of two updates that differ in their weight decay alone."""
    cdef double decay = vectors.numbers.weight_decay
    set_step(weights, learning_rate, step)
    vectors[0] = weights[0]
    vectors.numbers.weight_decay = decay
    vectors.shrink = <real>(1 - learning_rate * decay)


cdef inline Update with_factors(const Update* u, double rate, double decay) noexcept nogil:
    """The update of a parameter whose learning rate and weight decay have factors."""
    cdef Update own = u[0]
    own.rate = <real>(rate * u.rate)
    own.shrink = <real>(1 - rate * u.learning_rate * (decay * u.numbers.weight_decay))
    return own


cdef inline void update_rows(int code, const Update* u, Py_ssize_t rows, Py_ssize_t columns,
                             const real* g, Py_ssize_t ldg, const State* state,
                             Py_ssize_t ld) noexcept nogil:
    """`update_tile` for one constant code."""
    cdef Update local = u[0]  # which no store to the arrays can change
    cdef State arrays = state[0]
    cdef Py_ssize_t r, j, at
    if local.forgets:
        forget(&local, rows, columns, &arrays, ld)
    for r in range(rows):
        j = 0
        at = r * ld
        while j + VL <= columns:
            update_vector(code, &local, VL, load(g + r * ldg + j), &arrays, at + j)
            j += VL
        if j < columns:
            update_vector(code, &local, columns - j, take(g + r * ldg + j, columns - j, 0),
                          &arrays, at + j)


cdef inline void update_outer(const Update* u, const Outer* o, Py_ssize_t rows, Py_ssize_t columns,
                              const State* state, Py_ssize_t ld) noexcept nogil:
    """`update_tile` with the gradient X' dZ of a few samples, which is never stored."""
    if o.n_samples == 1:
        update_outer_of(1, u, o, rows, columns, state, ld)
    else:
        update_outer_of(o.n_samples, u, o, rows, columns, state, ld)


cdef inline void update_outer_rows(int code, Py_ssize_t n_samples, const Update* u,
                                   const Outer* o, Py_ssize_t rows, Py_ssize_t columns,
                                   const State* state, Py_ssize_t ld) noexcept nogil:
    """`update_outer` for one constant code; where `n_samples` is one, there is no loop over it."""
    cdef Update local = u[0]
    cdef Outer outer = o[0]
    cdef State arrays = state[0]
    cdef Py_ssize_t r, j, i
    cdef vec gradient
    if local.forgets:
        forget(&local, rows, columns, &arrays, ld)
    for r in range(rows):
        j = 0
        while j < columns:
            gradient = splat(0)
            for i in range(n_samples):
                gradient = fma_(splat(outer.x[i * outer.ldx + r]),
                                load(outer.dz + i * outer.ldz + j), gradient)
            update_vector(code, &local, VL, within(gradient, 0, outer.width - j), &arrays,
                          r * ld + j)
            j += VL


cdef inline void update_vector(int code, const Update* u, Py_ssize_t n, vec gradient,
                               const State* state, Py_ssize_t j) noexcept nogil:
    """One vector at j, n elements of it."""
    cdef vec p = updated(code, u, n, take(state.parameters + j, n, 0), gradient, state, j)
    put(state.parameters + j, n, p, False)


cdef inline void forget(const Update* u, Py_ssize_t rows, Py_ssize_t columns, const State* state,
                        Py_ssize_t ld) noexcept nogil:
    """Clear the slots of which nothing survives: 0 times an infinite number is nan."""
    cdef Py_ssize_t r
    cdef int i
    for i in range(MAX_SLOTS):
        if u.is_forgotten[i]:
            for r in range(rows):
                memset(state.slots[i] + r * ld, 0, columns * sizeof(real))


# ------------------------------------------------------------------------- the updates


cdef inline void gradient_descent_coefficients(Update* u, double learning_rate,
                                               Py_ssize_t step) noexcept nogil:
    """The learning rate is all there is."""


cdef inline vec gradient_descent(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                                 Py_ssize_t j) noexcept nogil:
    """p -= lr g."""
    return fma_(splat(-u.rate), g, p)


cdef inline void momentum_coefficients(Update* u, double learning_rate,
                                       Py_ssize_t step) noexcept nogil:
    u.keep_first = <real>u.numbers.momentum
    u.is_forgotten[0] = u.keep_first == 0
    if step > 1:
        u.rate = <real>(learning_rate * (1 - u.numbers.dampening))
    u.nesterov = u.numbers.nesterov != 0


cdef inline vec momentum(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                         Py_ssize_t j) noexcept nogil:
    """v = mu v - lr (1 - dampening) g; p += v, and Nesterov's p += mu v - lr g with the new v."""
    cdef vec v
    g = splat(u.rate) * g
    v = fma_(splat(u.keep_first), take(state.slots[0] + j, n, 0), -g)
    put(state.slots[0] + j, n, v, False)
    if u.nesterov:
        v = fma_(splat(u.keep_first), v, -g)
    return p + v


cdef inline void rmsprop_coefficients(Update* u, double learning_rate,
                                      Py_ssize_t step) noexcept nogil:
    u.keep_second = <real>u.numbers.rho
    u.is_forgotten[0] = u.keep_second == 0
    u.add_second = <real>(1 - u.numbers.rho)
    u.epsilon = <real>u.numbers.epsilon


cdef inline vec rmsprop(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                        Py_ssize_t j) noexcept nogil:
    """s = rho s + (1 - rho) g**2; p -= lr g / (sqrt(s) + eps)."""
    cdef vec s = fma_(splat(u.add_second) * g, g,
                      splat(u.keep_second) * take(state.slots[0] + j, n, 0))
    put(state.slots[0] + j, n, s, False)
    return p - splat(u.rate) * g / (sqrt_(s) + splat(u.epsilon))


cdef inline void centered_rmsprop_coefficients(Update* u, double learning_rate,
                                               Py_ssize_t step) noexcept nogil:
    rmsprop_coefficients(u, learning_rate, step)
    u.is_forgotten[1] = u.keep_second == 0


cdef inline vec centered_rmsprop(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                                 Py_ssize_t j) noexcept nogil:
    """s = rho s + (1 - rho) g**2; m = rho m + (1 - rho) g;
    p -= lr g / (sqrt(max(s - m**2, 0)) + eps).
    """
    cdef vec s = fma_(splat(u.add_second) * g, g,
                      splat(u.keep_second) * take(state.slots[0] + j, n, 0))
    cdef vec m = fma_(splat(u.add_second), g,
                      splat(u.keep_second) * take(state.slots[1] + j, n, 0))
    put(state.slots[0] + j, n, s, False)
    put(state.slots[1] + j, n, m, False)
    s = fma_(-m, m, s)
    s = select(less(s, splat(0)), splat(0), s)
    return p - splat(u.rate) * g / (sqrt_(s) + splat(u.epsilon))


cdef inline void adam_coefficients(Update* u, double learning_rate,
                                   Py_ssize_t step) noexcept nogil:
    u.keep_first = <real>u.numbers.beta1
    u.add_first = <real>(1 - u.numbers.beta1)
    u.keep_second = <real>u.numbers.beta2
    u.add_second = <real>(1 - u.numbers.beta2)
    u.is_forgotten[0] = u.keep_first == 0
    u.is_forgotten[1] = u.keep_second == 0
    u.epsilon = <real>u.numbers.epsilon
    u.root = 1
    if u.numbers.bias_correction != 0:
        u.rate = <real>(learning_rate / (1 - power(u.numbers.beta1, <double>step)))
        u.root = <real>(1 / sqrt(1 - power(u.numbers.beta2, <double>step)))


cdef inline vec adam(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                     Py_ssize_t j) noexcept nogil:
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g**2;
    p = (1 - lr wd) p - lr m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps).
    """
    cdef vec m, v
    move_moments(u, n, g, state, j, &m, &v)
    return adam_step(u, p, m, v)


cdef inline void move_moments(const Update* u, Py_ssize_t n, vec g, const State* state,
                              Py_ssize_t j, vec* m, vec* v) noexcept nogil:
    """The moving means of g and g**2, in the first two slots."""
    m[0] = fma_(splat(u.add_first), g,
                splat(u.keep_first) * take(state.slots[0] + j, n, 0))
    v[0] = fma_(splat(u.add_second) * g, g,
                splat(u.keep_second) * take(state.slots[1] + j, n, 0))
    put(state.slots[0] + j, n, m[0], False)
    put(state.slots[1] + j, n, v[0], False)


cdef inline vec adam_step(const Update* u, vec p, vec m, vec v) noexcept nogil:
    """New parameters from the moments."""
    m = splat(u.rate) * m / fma_(sqrt_(v), splat(u.root), splat(u.epsilon))
    return fma_(splat(u.shrink), p, -m)


cdef inline void amsgrad_coefficients(Update* u, double learning_rate,
                                      Py_ssize_t step) noexcept nogil:
    adam_coefficients(u, learning_rate, step)


cdef inline vec amsgrad(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                        Py_ssize_t j) noexcept nogil:
    """Adam with w = max(w, v) in place of v."""
    cdef vec m, v, w
    move_moments(u, n, g, state, j, &m, &v)
    w = take(state.slots[2] + j, n, 0)
    w = select(less(v, w), w, v)
    put(state.slots[2] + j, n, w, False)
    return adam_step(u, p, m, w)


cdef inline void lion_coefficients(Update* u, double learning_rate,
                                   Py_ssize_t step) noexcept nogil:
    u.keep_first = <real>u.numbers.beta1
    u.add_first = <real>(1 - u.numbers.beta1)
    u.keep_second = <real>u.numbers.beta2
    u.add_second = <real>(1 - u.numbers.beta2)
    u.is_forgotten[0] = u.keep_first == 0 and u.keep_second == 0


cdef inline vec lion(const Update* u, Py_ssize_t n, vec p, vec g, const State* state,
                     Py_ssize_t j) noexcept nogil:
    """c = b1 m + (1 - b1) g; p = (1 - lr wd) p - lr sign(c); m = b2 m + (1 - b2) g."""
    cdef vec m = take(state.slots[0] + j, n, 0)
    cdef vec c = fma_(splat(u.add_first), g, splat(u.keep_first) * m)
    put(state.slots[0] + j, n, fma_(splat(u.add_second), g, splat(u.keep_second) * m), False)
    c = select(less(splat(0), abs_(c)), copy_sign(splat(1), c), c)
    return fma_(splat(u.shrink), p, -(splat(u.rate) * c))


# ------------------------------------------------------------------------ norms


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


cdef inline double scaled_sum_of_squares(Py_ssize_t n, const real* x) noexcept nogil:
    """sum((x NORM_UNIT)**2), in order, for numbers whose squares overflow."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += (x[j] * NORM_UNIT) * (x[j] * NORM_UNIT)
    return total


cdef inline void scale_row(Py_ssize_t n, real factor, real* x) noexcept nogil:
    """x *= factor."""
    cdef Py_ssize_t j = 0
    while j + VL <= n:
        store(x + j, splat(factor) * load(x + j))
        j += VL
    if j < n:
        put(x + j, n - j, splat(factor) * take(x + j, n - j, 0), False)

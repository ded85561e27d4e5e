# One optimizer step over flat arrays, in place.  The gradient used is g + l2 * p.

from libc.math cimport isfinite, sqrt
from libc.string cimport memset

from fastnn.backend.compiled.rows.updates cimport (
    ADAM, GRADIENT_DESCENT, MOMENTUM, RMSPROP, Optimizer, Update, apply_update, scale_row,
    set_step, sum_of_squares,
)


cdef Update new_update(Optimizer kind, double first_decay, double second_decay) noexcept nogil:
    """An update without penalty, decay or epsilon; `set_step` completes it."""
    cdef Update update
    memset(&update, 0, sizeof(update))
    update.kind = kind
    update.first_decay = first_decay
    update.second_decay = second_decay
    return update


cdef public int prepare_update(Update* update, kind, hyper, double weight_decay) except -1:
    """Read an optimizer's hyper-parameters, named as in the functions below."""
    given = dict(hyper)
    if kind == "gradient_descent":
        update[0] = new_update(GRADIENT_DESCENT, 0, 0)
    elif kind == "momentum":
        update[0] = new_update(MOMENTUM, given.pop("momentum"), 0)
        update.nesterov = given.pop("nesterov", False)
    elif kind == "rmsprop":
        update[0] = new_update(RMSPROP, 0, given.pop("rho"))
        update.epsilon = given.pop("epsilon")
    elif kind == "adam":
        update[0] = new_update(ADAM, given.pop("beta1"), given.pop("beta2"))
        update.epsilon = given.pop("epsilon")
        update.bias_correction = given.pop("bias_correction", True)
    else:
        raise ValueError(f"unknown optimizer {kind!r}; known are gradient_descent, momentum, "
                         "rmsprop, adam")
    if given:
        raise ValueError(f"{kind} has no hyper-parameter {', '.join(given)}")
    update.weight_decay = weight_decay
    return 0


def gradient_descent(real[::1] p, const real[::1] g, double learning_rate, double l2):
    """p -= lr g."""
    cdef Update update = new_update(GRADIENT_DESCENT, 0, 0)
    update.l2 = <real>l2
    with nogil:
        set_step(&update, learning_rate, 1)
        apply_update(&update, p.shape[0], &g[0], &p[0], NULL, NULL)


def momentum(real[::1] p, const real[::1] g, real[::1] velocity, double learning_rate,
             double momentum, bint nesterov, double l2):
    """v = mu v - lr g; p += v, or with Nesterov's look ahead p += mu v - lr g (with the new v)."""
    cdef Update update = new_update(MOMENTUM, momentum, 0)
    update.nesterov = nesterov
    update.l2 = <real>l2
    with nogil:
        set_step(&update, learning_rate, 1)
        apply_update(&update, p.shape[0], &g[0], &p[0], &velocity[0], NULL)


def rmsprop(real[::1] p, const real[::1] g, real[::1] square, double learning_rate, double rho,
            double epsilon, double l2):
    """s = rho s + (1 - rho) g**2; p -= lr g / (sqrt(s) + eps)."""
    cdef Update update = new_update(RMSPROP, 0, rho)
    update.epsilon = <real>epsilon
    update.l2 = <real>l2
    with nogil:
        set_step(&update, learning_rate, 1)
        apply_update(&update, p.shape[0], &g[0], &p[0], &square[0], NULL)


def adam(real[::1] p, const real[::1] g, real[::1] first, real[::1] second, Py_ssize_t step,
         double learning_rate, double beta1, double beta2, double epsilon, double weight_decay,
         bint bias_correction, double l2):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g**2; p -= lr (m^ / (sqrt(v^) + eps) + wd p).

    m^ = m / (1 - b1**step) and v^ = v / (1 - b2**step) with bias correction, m and v without.
    A positive `weight_decay` makes it AdamW (Loshchilov & Hutter 2019).
    """
    cdef Update update = new_update(ADAM, beta1, beta2)
    update.epsilon = <real>epsilon
    update.weight_decay = weight_decay
    update.bias_correction = bias_correction
    update.l2 = <real>l2
    with nogil:
        set_step(&update, learning_rate, step)
        apply_update(&update, p.shape[0], &g[0], &p[0], &first[0], &second[0])


def clip_by_norm(real[::1] g, double max_norm):
    """Scale g in place so that its Euclidean norm is at most max_norm; returns the norm before."""
    cdef double norm
    with nogil:
        norm = sqrt(sum_of_squares(g.shape[0], &g[0]))
        if norm > max_norm and isfinite(norm):
            scale_row(g.shape[0], <real>(max_norm / norm), &g[0])
    return norm

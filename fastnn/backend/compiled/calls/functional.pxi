# The stateless operations behind fastnn.functional, which
# fastnn.backend.reference.kernels specifies.
#
# Arguments arrive checked: C-contiguous arrays of this build's dtype, at least one row, no
# overlap, except that `out` may be the first input itself.


cdef int activation_code(name) except -1:
    """The code of an activation in `activate`."""
    if name not in _activation_codes:
        raise ValueError(f"unknown activation {name!r}; known are {', '.join(_activation_codes)}")
    return _activation_codes[name]


cdef const real* pointer_to(const real[::1] values) noexcept:
    """The first element of an array, or NULL for None."""
    if values is None:
        return NULL
    return &values[0]


# --------------------------------------------------------------------- elementwise


cdef void run(int code, const real[::1] x, double parameter, real[::1] out):
    with nogil:
        compute(code, <real>parameter, x.shape[0], 0, &x[0], &out[0])


def activation(name, const real[::1] z, double alpha, real[::1] out):
    """out = f(z); `alpha` is leaky_relu's slope, swish's beta, elu's alpha."""
    run(activation_code(name), z, alpha, out)


def activation_derivative(name, const real[::1] z, double alpha, real[::1] out):
    """out = f'(z)."""
    run(DERIVATIVE + activation_code(name), z, alpha, out)


def exp(const real[::1] x, real[::1] out):
    """out = exp(x)."""
    run(ELEMENTARY + EXP, x, 0, out)


def expm1(const real[::1] x, real[::1] out):
    """out = exp(x) - 1."""
    run(ELEMENTARY + EXPM1, x, 0, out)


def log(const real[::1] x, real[::1] out):
    """out = log(x)."""
    run(ELEMENTARY + LOG, x, 0, out)


def log1p(const real[::1] x, real[::1] out):
    """out = log(1 + x)."""
    run(ELEMENTARY + LOG1P, x, 0, out)


# ---------------------------------------------------------------------------- rows


cdef void run_rows(int code, const real[:, ::1] z, real* out):
    with nogil:
        compute(code, 0, z.shape[0] * z.shape[1], z.shape[1], &z[0, 0], out)


def logsumexp(const real[:, ::1] z, real[::1] out):
    """out[i] = log(sum(exp(z[i])))."""
    run_rows(LOGSUMEXP_ROWS, z, &out[0])


def signed_logsumexp(const real[:, ::1] z, const real[:, ::1] b, real[::1] out, real[::1] sign):
    """out[i] = log(abs(sum(b[i] exp(z[i])))); sign[i] = the sign of the sum, or nan."""
    with nogil:
        signed_logsumexp_rows(z.shape[0], z.shape[1], &z[0, 0], &b[0, 0], &out[0], &sign[0])


def softmax(const real[:, ::1] z, real[:, ::1] out):
    """out[i] = exp(z[i]) / sum(exp(z[i]))."""
    run_rows(SOFTMAX_ROWS, z, &out[0, 0])


def log_softmax(const real[:, ::1] z, real[:, ::1] out):
    """out[i] = z[i] - log(sum(exp(z[i])))."""
    run_rows(LOG_SOFTMAX_ROWS, z, &out[0, 0])


def softmax_backward(const real[:, ::1] p, const real[:, ::1] dp, real[:, ::1] out):
    """out[i] = p[i] (dp[i] - sum(dp[i] p[i])), for p the output of softmax."""
    with nogil:
        softmax_backward_rows(p.shape[0], p.shape[1], &p[0, 0], &dp[0, 0], &out[0, 0])


def log_softmax_backward(const real[:, ::1] logp, const real[:, ::1] dlogp, real[:, ::1] out):
    """out[i] = dlogp[i] - exp(logp[i]) sum(dlogp[i]), for logp the output of log_softmax."""
    with nogil:
        log_softmax_backward_rows(logp.shape[0], logp.shape[1], &logp[0, 0], &dlogp[0, 0],
                                  &out[0, 0])


def layer_norm(const real[:, ::1] x, const real[::1] scale, const real[::1] shift, double epsilon,
               real[:, ::1] out):
    """out[i] = (x[i] - mean) / sqrt(variance + epsilon) scale + shift, None being 1 and 0."""
    cdef const real* factors = pointer_to(scale)
    cdef const real* offsets = pointer_to(shift)
    with nogil:
        layer_norm_rows(x.shape[0], x.shape[1], &x[0, 0], factors, offsets, <real>epsilon,
                        &out[0, 0])


def dropout(const real[:, ::1] x, double rate, uint32_t key, uint32_t step, real[:, ::1] out):
    """out = x / (1 - rate) where an element is kept, else 0; the same call is its derivative."""
    with nogil:
        drop_rows(x.shape[0], x.shape[1], rate, key, step, &x[0, 0], &out[0, 0])

# Functions of one array, called with the very objects a caller passed.
#
# Most calls bring arrays that need no conversion.  `direct` tells these by their flags, makes
# the output and runs the kernel, in a fraction of a microsecond.  For anything else it returns
# None, and Python converts, or says what is wrong.

cdef enum:
    # Elements below which releasing the GIL costs more than it gives.
    SMALL = 2048

cdef dict _functions = {
    "exp": ELEMENTARY + EXP, "expm1": ELEMENTARY + EXPM1,
    "log": ELEMENTARY + LOG, "log1p": ELEMENTARY + LOG1P,
    "logsumexp": LOGSUMEXP_ROWS, "softmax": SOFTMAX_ROWS, "log_softmax": LOG_SOFTMAX_ROWS,
}
for _name, _code in _activation_codes.items():
    _functions[_name] = _code
    _functions[f"{_name}_derivative"] = DERIVATIVE + _code


def direct(str function, x, double alpha, out):
    """A function of fastnn.functional, if x and out need no conversion; else None.

    `out` may be None: the result is a new array then, or a scalar if it has no dimensions.
    """
    cdef int code = _functions[function]
    cdef int ndim
    if not is_plain(x):
        return None
    ndim = cnp.PyArray_NDIM(x)
    if code >= ROWWISE and (ndim == 0 or cnp.PyArray_SIZE(x) == 0):
        return None
    ndim -= code == LOGSUMEXP_ROWS
    if out is None:
        if ndim == 0:
            return direct_scalar(code, <real>alpha, x)
        out = cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    elif not is_output(out, ndim, x, code != LOGSUMEXP_ROWS):
        return None
    run_direct(code, <real>alpha, x, out)
    return out


cdef direct_scalar(int code, real alpha, x):
    """The result of `direct` that has no dimensions."""
    out = cnp.PyArray_EMPTY(0, NULL, cnp.PyArray_TYPE(x), 0)
    run_direct(code, alpha, x, out)
    return cnp.PyArray_ToScalar(cnp.PyArray_DATA(out), out)


cdef bint is_plain(x):
    """Whether x is an ndarray of this build's dtype, native, aligned and C-contiguous."""
    cdef int wanted = cnp.NPY_FLOAT if sizeof(real) == sizeof(float) else cnp.NPY_DOUBLE
    return (cnp.PyArray_CheckExact(x) and cnp.PyArray_ISCARRAY_RO(x)
            and cnp.PyArray_TYPE(x) == wanted)


cdef bint is_output(out, int ndim, x, bint in_place):
    """Whether a result of the first `ndim` dimensions of x can go into `out`."""
    cdef int i
    if not is_plain(out) or not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_NDIM(out) != ndim:
        return False
    for i in range(ndim):
        if cnp.PyArray_DIMS(out)[i] != cnp.PyArray_DIMS(x)[i]:
            return False
    if out is x:
        return in_place
    return are_apart(x, out)


cdef bint are_apart(x, y):
    """Whether two contiguous arrays share no memory."""
    cdef const char* a = <const char*>cnp.PyArray_DATA(x)
    cdef const char* b = <const char*>cnp.PyArray_DATA(y)
    return a + cnp.PyArray_NBYTES(x) <= b or b + cnp.PyArray_NBYTES(y) <= a


cdef void run_direct(int code, real alpha, x, out):
    """Run the kernel, without the GIL where the work is worth it."""
    cdef const real* source = <const real*>cnp.PyArray_DATA(x)
    cdef real* target = <real*>cnp.PyArray_DATA(out)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(x)
    cdef Py_ssize_t K = cnp.PyArray_DIMS(x)[cnp.PyArray_NDIM(x) - 1] if code >= ROWWISE else 0
    if size <= SMALL:
        compute(code, alpha, size, K, source, target)
    else:
        with nogil:
            compute(code, alpha, size, K, source, target)


def direct_cross_entropy(logits, labels, str reduction, gradient, out):
    """`cross_entropy` without weights, smoothing and ignored labels, or None as `direct`."""
    cdef LabelBatch batch
    cdef LossOutputs result
    cdef int ndim
    cdef Py_ssize_t i
    if not (is_plain(logits) and reduction in _reductions and is_labels(labels)):
        return None
    ndim = cnp.PyArray_NDIM(logits) - 1
    if ndim != cnp.PyArray_NDIM(labels) or cnp.PyArray_SIZE(logits) == 0:
        return None
    for i in range(ndim):
        if cnp.PyArray_DIMS(labels)[i] != cnp.PyArray_DIMS(logits)[i]:
            return None
    if gradient is True and out is None:
        out = cnp.PyArray_EMPTY(ndim + 1, cnp.PyArray_DIMS(logits), cnp.PyArray_TYPE(logits), 0)
    elif gradient is True:
        if not is_output(out, ndim + 1, logits, True) or not are_apart(labels, out):
            return None
    elif gradient is not False or out is not None:
        return None
    plain_batch(&batch, cnp.PyArray_SIZE(labels), cnp.PyArray_DIMS(logits)[ndim],
                <const real*>cnp.PyArray_DATA(logits), <const int64_t*>cnp.PyArray_DATA(labels))
    if first_wrong_label(batch.n, batch.labels, batch.K, False, -1) < batch.n:
        return None
    result = loss_outputs(reduction, <double>batch.n, None, None)
    if out is not None:
        result.gradient = <real*>cnp.PyArray_DATA(out)
    with nogil:
        label_losses(&batch, &result)
    if out is None:
        return result.total * result.factor
    return result.total * result.factor, out


cdef bint is_labels(x):
    """Whether x is a native, aligned and C-contiguous ndarray of int64."""
    return (cnp.PyArray_CheckExact(x) and cnp.PyArray_ISCARRAY_RO(x)
            and cnp.PyArray_TYPE(x) == <int>cnp.NPY_INT64)

# From the arrays of a caller to the rows of a batch: gathering, conversion and checks in one pass.
#
# A Source describes an array in any real type and with any strides.  Rows are converted when they
# are wanted, a batch or a block at a time, so that no copy of the whole is made; what was converted
# is checked while it is in the cache.

from libc.stdint cimport INT64_MAX, int8_t, int16_t, uint8_t, uint16_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* IEEE binary16; without arithmetic on subnormal numbers, which may be flushed to zero. */
    static inline float half_to_float(uint16_t half) {
        uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff, bits;
        float value;
        if (rest < 0x0400)
            return (sign ? -0x1p-24f : 0x1p-24f) * (float)rest;
        bits = sign | ((rest << 13) + (rest < 0x7c00 ? 112u << 23 : 224u << 23));
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    """
    float half_to_float(uint16_t half) noexcept nogil

ctypedef fused number:
    float
    double
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef void convert(const number* x, sz stride, sz n, real* out) noexcept nogil:
    """out = n numbers `stride` bytes apart."""
    cdef const char* at = <const char*>x
    cdef sz j
    if stride == <sz>sizeof(number):
        for j in range(n):
            out[j] = <real>x[j]
    else:
        for j in range(n):
            out[j] = <real>(<const number*>(at + j * stride))[0]


cdef void convert_half(const char* x, sz stride, sz n, real* out) noexcept nogil:
    cdef sz j
    for j in range(n):
        out[j] = <real>half_to_float((<const uint16_t*>(x + j * stride))[0])


cdef void convert_row(const Source* source, sz row, real* out) noexcept nogil:
    """out = a row of a source; writes its width and no further."""
    cdef const char* x = source.data + row * source.row_stride
    cdef sz stride = source.stride, n = source.width
    cdef int type = source.type
    if type == FLOAT32:
        convert(<const float*>x, stride, n, out)
    elif type == FLOAT64:
        convert(<const double*>x, stride, n, out)
    elif type == FLOAT16:
        convert_half(x, stride, n, out)
    elif type == INT8:
        convert(<const int8_t*>x, stride, n, out)
    elif type == INT16:
        convert(<const int16_t*>x, stride, n, out)
    elif type == INT32:
        convert(<const int32_t*>x, stride, n, out)
    elif type == INT64:
        convert(<const int64_t*>x, stride, n, out)
    elif type == UINT8:
        convert(<const uint8_t*>x, stride, n, out)
    elif type == UINT16:
        convert(<const uint16_t*>x, stride, n, out)
    elif type == UINT32:
        convert(<const uint32_t*>x, stride, n, out)
    elif type == UINT64:
        convert(<const uint64_t*>x, stride, n, out)


cdef int64_t label_at(const Source* source, sz row) noexcept nogil:
    cdef const char* x = source.data + row * source.row_stride
    cdef int type = source.type
    if type == INT64:
        return (<const int64_t*>x)[0]
    if type == INT32:
        return (<const int32_t*>x)[0]
    if type == UINT8:
        return (<const uint8_t*>x)[0]
    if type == INT8:
        return (<const int8_t*>x)[0]
    if type == INT16:
        return (<const int16_t*>x)[0]
    if type == UINT16:
        return (<const uint16_t*>x)[0]
    if type == UINT32:
        return (<const uint32_t*>x)[0]
    # Too large a label must not become negative: it might be one to ignore.
    return <int64_t>min((<const uint64_t*>x)[0], <uint64_t>INT64_MAX)


cdef vec copy_row(sz n, const real* x, real* out) noexcept nogil:
    """out = x, up to a whole vector; the sums of its squares."""
    cdef sz j = 0
    cdef vec part, total = splat(0), other = splat(0), last
    while j + VL <= n:
        part = load(x + j)
        store(out + j, part)
        last = fma_(part, part, total)  # two sums in turn: neither waits for the other
        total, other = other, last
        j += VL
    if j < n:
        part = take(x + j, n - j, 0)
        store(out + j, part)
        total = fma_(part, part, total)
    return total + other


cdef vec row_squares(sz n, const real* x) noexcept nogil:
    """Sums of the squares of n numbers."""
    cdef vec part, total = splat(0)
    cdef sz j = 0
    while j < n:
        part = take(x + j, n - j, 0)
        total = fma_(part, part, total)
        j += VL
    return total


cdef inline vec gather_row(const Source* source, sz row, real* out) noexcept nogil:
    """out = a row of a source, up to a whole vector; the sums of its squares."""
    if source.plain:
        return copy_row(source.width, <const real*>(source.data + row * source.row_stride), out)
    convert_row(source, row, out)
    return row_squares(source.width, out)


cdef inline bint are_finite(vec squares) noexcept nogil:
    """Whether sums of squares are: then the numbers are, too.  But squares may overflow."""
    return not any_lane(not_(equal(squares - squares, splat(0))))


cdef public bint rows_are_finite(const Source* source, real* scratch) noexcept nogil:
    """Whether every row of a source is finite as `real`; `scratch` has room for one."""
    cdef sz r
    for r in range(source.n_rows):
        if source.plain:
            if not finite_row(source.width, <const real*>(source.data + r * source.row_stride)):
                return False
        elif (not are_finite(gather_row(source, r, scratch))
              and not finite_row(source.width, scratch)):
            return False
    return True


cdef bint are_codes(sz n, const real* last_codes, const real* x) noexcept nogil:
    """Whether the numbers of a row are codes: integers from 0 to the last one of each column."""
    cdef int strays = 0
    cdef sz j
    for j in range(n):
        strays += not (0 <= x[j] <= last_codes[j] and x[j] == <real><int>x[j])
    return strays == 0


cdef void load_rows(const Plan* plan, const Workspace* work, const Batch* batch,
                    sz first, sz last, sz to) noexcept nogil:
    """Samples first to last of the batch into the input buffers from row `to` on."""
    cdef Matrix* x
    cdef vec squares
    cdef bint fit = True
    cdef sz r
    cdef int i
    for i in range(plan.n_inputs):
        x = &work.values[plan.inputs[i]]
        squares = splat(0)
        if x.sparse != NULL:
            for r in range(first, last):
                fit &= point_row(&batch.inputs[i], sample(batch, r), batch.check,
                                 &x.sparse.rows[to + r - first])
            squares = sparse_squares(x.sparse, to, to + last - first)
        else:
            for r in range(first, last):
                squares = squares + gather_row(&batch.inputs[i], sample(batch, r),
                                               row_of(x, to + r - first))
            if batch.check and not (are_finite(squares) and plan.last_codes[i] == NULL):
                for r in range(to, to + last - first):
                    fit &= finite_row(x.width, row_of(x, r))
                    if plan.last_codes[i] != NULL:
                        fit &= are_codes(x.width, plan.last_codes[i], row_of(x, r))
        if plan.inputs_are_factors[i] and plan.factor_squares[0] != NULL:
            store(plan.factor_squares[0], load(plan.factor_squares[0]) + squares)
    if not fit:
        raise_flag(batch.bad)


# ------------------------------------------------------------------ targets


cdef public void prepare_targets(const Plan* plan, const Batch* batch, int part,
                                 int parts) noexcept nogil:
    """This thread's share of the batch's targets, gathered where need be, and checked."""
    cdef sz first = share_of_rows(batch.n_rows, part, parts)
    cdef sz last = share_of_rows(batch.n_rows, part + 1, parts)
    cdef bint fit = True
    cdef Target* target
    cdef int h
    for h in range(plan.n_heads):
        target = &batch.targets[h]
        if target.labels != NULL:
            fit &= gather_labels(&plan.heads[h], target, batch, first, last)
        else:
            fit &= gather_targets(&plan.heads[h], target, batch, first, last)
    if not fit:
        raise_flag(batch.bad)


cdef bint gather_labels(const HeadSpec* head, const Target* target, const Batch* batch,
                        sz first, sz last) noexcept nogil:
    """Whether all labels are classes or ignored; another label is stored as 0, a valid index."""
    cdef bint fit = True
    cdef int64_t label
    cdef sz r, s
    for r in range(first, last):
        s = sample(batch, r)
        label = label_at(&target.source, s)
        if not 0 <= label < target.width and not (head.ignores and label == head.ignore_index):
            label = 0
            fit = False
        target.label_room[r] = label
        if target.weights != NULL:
            target.weight_room[r] = target.given_weights[s]
    return fit


cdef bint gather_targets(const HeadSpec* head, const Target* target, const Batch* batch,
                         sz first, sz last) noexcept nogil:
    """Rows of targets into the batch, unless they are read in place; whether all are fit."""
    cdef bint fit = True
    cdef sz r, s, n_weights
    if not target.gathered and not batch.check:
        return True
    for r in range(first, last):
        s = sample(batch, r)
        if target.gathered:
            convert_row(&target.source, s, target.row_room + r * target.width)
            if target.weights != NULL:
                n_weights = weights_of_row(target)
                memcpy(target.weight_room + r * n_weights, target.given_weights + s * n_weights,
                       n_weights * sizeof(real))
        if batch.check:
            fit &= row_is_fit(head, target.width,
                              target.rows + target_row(batch, target, r) * target.width)
    return fit


cdef bint row_is_fit(const HeadSpec* head, sz n, const real* y) noexcept nogil:
    """Whether every target of a row is within the bounds of its loss, or ignored; no nan is."""
    cdef real low = head.lowest, high = head.highest
    cdef int strays = 0
    cdef sz j
    for j in range(n):
        strays += not (low <= y[j] <= high)
    if strays == 0 or not head.ignores:
        return strays == 0
    if head.takes_labels:
        return head.ignores_nan and has_nan(n, y)
    for j in range(n):
        if not (low <= y[j] <= high) and not is_ignored(head.ignore_value, y[j]):
            return False
    return True


cdef bint has_nan(sz n, const real* y) noexcept nogil:
    cdef sz j
    for j in range(n):
        if y[j] != y[j]:
            return True
    return False


cdef inline bint is_ignored(real ignore_value, real y) noexcept nogil:
    """Equal, a nan to any other."""
    return y == ignore_value or (y != y and ignore_value != ignore_value)

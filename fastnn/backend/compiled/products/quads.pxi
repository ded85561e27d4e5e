# Products of whole numbers of eight bits: activations rounded and packed four to a word, and what
# their sums become.  fastnn/backend/quantization.py specifies both.
#
# A row of activations has its words, and behind them its scale and its zero point.

cdef extern from "octets.h" nogil:
    int32_t word_of(const real* place) noexcept
    void put_word(real* place, int32_t word) noexcept
    void store_bytes(real* place, vec a, int zero) noexcept
    vec of_sums(vec sums, vec columns, int zero) noexcept


cdef struct Sums:
    # What a product of whole numbers is multiplied by.
    const QuadWeight* weight
    const real* bias     # or NULL
    const real* rows     # behind the words of each row: scale and zero point
    sz ld


cdef void round_rows(sz rows, sz width, const QuadWeight* weight, const real* x, sz ldx,
                     real* words, sz ldw) noexcept nogil:
    """Rows of activations as bytes from 0 to 255, in whole vectors of numbers."""
    cdef real low, high, bad, scale, inverse, zero
    cdef vec least, most, factor
    cdef sz r, j
    for r in range(rows):
        bad = limits_of_row(width, x, &low, &high)
        if weight.by_row:
            scale, inverse, zero = grid_of(low, high)
        else:
            scale, inverse, zero = weight.scale, weight.inverse, weight.zero
        if bad != 0:
            scale, inverse, zero = bad, 0, 0
        least, most, factor = splat(-zero), splat(<real>255 - zero), splat(inverse)
        j = 0
        while j < width:
            store_bytes(words + j // 4, at_most(at_least(load(x + j) * factor, least), most),
                        <int>zero)
            j += VL
        words[weight.words] = scale
        put_word(words + weight.words + 1, <int32_t>zero)
        x += ldx
        words += ldw


cdef inline real limits_of_row(sz width, const real* x, real* low, real* high) noexcept nogil:
    """The least and the largest number of a row, or 0; returns nan if one is not finite, or 0."""
    cdef vec least[4]
    cdef vec most[4]
    cdef vec bad[4]
    cdef vec v
    cdef sz j = 0
    cdef int i
    for i in range(4):
        least[i] = most[i] = bad[i] = splat(0)
    while j + 4 * VL <= width:
        for i in range(4):
            v = load(x + j + i * VL)
            least[i] = at_least(least[i], -v)
            most[i] = at_least(most[i], v)
            bad[i] = bad[i] + v * splat(0)
        j += 4 * VL
    while j < width:
        v = within(load(x + j), 0, width - j)
        least[0] = at_least(least[0], -v)
        most[0] = at_least(most[0], v)
        bad[0] = bad[0] + v * splat(0)
        j += VL
    low[0] = -max_lanes(at_least(at_least(least[0], least[1]), at_least(least[2], least[3])))
    high[0] = max_lanes(at_least(at_least(most[0], most[1]), at_least(most[2], most[3])))
    return sum_lanes((bad[0] + bad[1]) + (bad[2] + bad[3]))


cdef inline (real, real, real) grid_of(real low, real high) noexcept nogil:
    """Scale, inverse and zero point of the numbers from low <= 0 to high >= 0."""
    cdef real scale = high / <real>255 - low / <real>255, inverse
    if not scale >= <real>1.17549435e-38:  # the inverse might overflow
        return 0, 0, 0
    inverse = <real>1 / scale
    return scale, inverse, lane(round_(splat(-low * inverse)), 0)


cdef void numbers_of_sums(sz rows, sz columns, const Sums* sums, sz row, sz column, real* c,
                          sz ldc) noexcept nogil:
    """The tile `c` of sums, from a row and a column of the whole on, becomes numbers of X W + b."""
    cdef const real* end = sums.rows + row * sums.ld
    cdef const real* scales = sums.weight.scales + column
    cdef const real* totals = sums.weight.sums + column
    cdef const real* bias = sums.bias + column if sums.bias != NULL else NULL
    cdef vec z
    cdef sz r, j
    cdef int zero
    for r in range(rows):
        zero = word_of(end + 1)
        j = 0
        while j < columns:
            z = of_sums(load(c + j), load(totals + j), zero) * (splat(end[0]) * load(scales + j))
            store(c + j, z + load(bias + j) if bias != NULL else z)
            j += VL
        c += ldc
        end += sums.ld

# One optimizer step over flat arrays, in place.  The gradient used is g + l2 * p.

from fastnn.facts import updates as _updates

include "../generated/update_numbers.pxi"


cdef int prepare_update(Update* update, name, dict numbers, n_slots) except -1:
    """The update of a row of fastnn/facts/updates.py with its numbers; `set_step` completes it."""
    row = _updates.known(name)
    row.check(numbers, n_slots)
    memset(update, 0, sizeof(Update))
    read_numbers(update, name, numbers)
    return 0


def update(name, real[::1] parameters, const real[::1] gradient, slots, Py_ssize_t step,
           double learning_rate, numbers, double l2):
    """One step of an optimizer, in place; `fastnn.facts.updates` has the formulas."""
    cdef Update update
    cdef State state
    cdef real[::1] block
    cdef Py_ssize_t i
    prepare_update(&update, name, dict(numbers), len(slots))
    memset(&state, 0, sizeof(state))
    state.parameters = &parameters[0]
    for i in range(len(slots)):
        block = slots[i]
        if block.shape[0] != parameters.shape[0]:
            raise ValueError(f"a slot has {block.shape[0]} numbers, "
                             f"expected {parameters.shape[0]}")
        state.slots[i] = &block[0]
    with nogil:
        set_step(&update, learning_rate, step)
        update_arrays(&update, parameters.shape[0], <real>l2, &gradient[0], &state)


def clip_by_norm(real[::1] g, double max_norm):
    """Scale g in place so that its Euclidean norm is at most max_norm; returns the norm before."""
    cdef double norm
    with nogil:
        norm = clip_array(g.shape[0], &g[0], max_norm)
    return norm

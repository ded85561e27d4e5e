# How many threads a call may use.

from fastnn.backend.threads import limit as _limit


cdef int _max_threads = 1


def set_max_threads(int n):
    """Upper bound on the threads of one call; OpenMP's own limit holds as well."""
    global _max_threads
    _max_threads = n


def max_threads():
    """Threads OpenMP offers now (threadpoolctl and OMP_NUM_THREADS change it); 0 without OpenMP."""
    return TEAM_LIMIT()


def end_idle_threads():
    """End OpenMP's threads that wait for this thread's next team; it will start new ones.

    A forked child has none of them, but GCC's OpenMP would wait for them for ever.
    """
    with nogil:
        END_IDLE_THREADS()


cdef int most_threads() noexcept:
    """Threads of a call now: the bound of all calls, that of this context, and OpenMP's."""
    cdef int most = min(_max_threads, TEAM_LIMIT(), MAX_THREADS)
    cdef int of_context = _limit.get()
    return min(most, of_context) if of_context else most


cdef int team_for(double work) noexcept:
    """Threads for `work` multiply-adds: one for every 4 million, a share of about 20 us."""
    cdef double wanted = 1 + work / 4e6
    cdef int limit
    if wanted < 2 or _max_threads <= 1:  # before OpenMP is asked: a small call feels it
        return 1
    limit = most_threads()
    if limit <= 1 or IN_PARALLEL():
        return 1
    return <int>min(<double>limit, wanted)

# The lock of a network: one that its thread may take again, at a few nanoseconds from C.

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock,
    PyThread_get_thread_ident, PyThread_release_lock, PyThread_type_lock,
)

cdef extern from "pythread.h":
    const int PY_LOCK_ACQUIRED
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds,
                                    int interruptible) nogil


cdef unsigned long _generation = 0   # forks between the first process and this one
cdef unsigned long _survivor = 0     # the thread that made the last of them


def begin_child():
    """To be called in a forked child by its thread: the others of its parent are not there."""
    global _generation, _survivor
    _generation += 1
    _survivor = <unsigned long>PyThread_get_thread_ident()


cdef class Guard:
    """What ``threading.RLock`` is, without the cost of Python calls.

    In a forked child it is free, unless the thread that forked holds it.
    """

    cdef PyThread_type_lock lock
    cdef unsigned long owner        # the thread that holds it; 0 for none
    cdef unsigned long generation   # of the process that `owner` belongs to
    cdef int depth

    def __cinit__(self):
        self.generation = _generation
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("no lock can be made")

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int enter(self) except -1:
        cdef unsigned long me = <unsigned long>PyThread_get_thread_ident()
        if self.generation != _generation:
            self.renew()
        if self.owner != me:
            if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
                self.wait()
            self.owner = me
        self.depth += 1
        return 0

    cdef int renew(self) except -1:
        """Forget a thread that was not forked; its lock would never be released."""
        cdef PyThread_type_lock lock
        if self.owner != _survivor:
            lock = PyThread_allocate_lock()
            if lock == NULL:
                raise MemoryError("no lock can be made")
            PyThread_free_lock(self.lock)
            self.lock = lock
            self.owner = 0
            self.depth = 0
        self.generation = _generation
        return 0

    cdef int wait(self) except -1:
        """Wait for the other thread; Ctrl-C breaks it off."""
        cdef bint acquired = False
        while not acquired:
            with nogil:
                acquired = PyThread_acquire_lock_timed(self.lock, -1, 1) == PY_LOCK_ACQUIRED
            if not acquired:
                PyErr_CheckSignals()
        return 0

    cdef void leave(self) noexcept:
        self.depth -= 1
        if self.depth == 0:
            self.owner = 0
            PyThread_release_lock(self.lock)

    def __enter__(self):
        self.enter()
        return self

    def __exit__(self, kind, value, traceback):
        self.leave()

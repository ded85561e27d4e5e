# The arrays that calls are given: checked, and described so that C can read them.
#
# Array flags, not memoryviews: a tenth of the time, which counts for small networks.


cdef int REAL_TYPE = cnp.NPY_FLOAT64 if sizeof(real) == 8 else cnp.NPY_FLOAT32
cdef object REAL_DTYPE = cnp.PyArray_DescrFromType(REAL_TYPE)
cdef int REAL_SOURCE = FLOAT64 if sizeof(real) == 8 else FLOAT32


cdef int source_type(cnp.ndarray x) noexcept:
    """The type of numbers as C can read it, or -1: other types, bytes swapped or not aligned."""
    cdef int number = cnp.PyArray_TYPE(x)
    cdef sz size = cnp.PyArray_ITEMSIZE(x)
    if not cnp.PyArray_ISALIGNED(x) or not cnp.PyArray_ISNOTSWAPPED(x):
        return -1
    if number == cnp.NPY_FLOAT32:
        return FLOAT32
    if number == cnp.NPY_FLOAT64:
        return FLOAT64
    if number == cnp.NPY_FLOAT16:
        return FLOAT16
    if number == cnp.NPY_BOOL:
        return UINT8
    if cnp.PyTypeNum_ISUNSIGNED(number):
        return UINT8 if size == 1 else UINT16 if size == 2 else UINT32 if size == 4 else UINT64
    if cnp.PyTypeNum_ISSIGNED(number):
        return INT8 if size == 1 else INT16 if size == 2 else INT32 if size == 4 else INT64
    return -1


cdef bint describe(cnp.ndarray x, sz width, Source* source) noexcept:
    """Describe an (N, width) array, or one of (N,) where width is 1; False if it is none."""
    cdef int ndim = cnp.PyArray_NDIM(x)
    if ndim == 2:
        if cnp.PyArray_DIM(x, 1) != width:
            return False
    elif ndim != 1 or width != 1:
        return False
    source.n_rows = cnp.PyArray_DIM(x, 0)
    source.type = source_type(x)
    if source.n_rows < 1 or source.type < 0:
        return False
    source.data = <const char*>cnp.PyArray_DATA(x)
    source.width = width
    source.row_stride = cnp.PyArray_STRIDE(x, 0)
    source.stride = cnp.PyArray_STRIDE(x, ndim - 1)
    source.plain = source.type == REAL_SOURCE and (source.stride == sizeof(real) or width == 1)
    source.columns = NULL
    return True


cdef bint describe_row(cnp.ndarray x, sz width, Source* source) noexcept:
    """Describe a vector (width,) as one row; False if it is none."""
    if cnp.PyArray_NDIM(x) != 1 or cnp.PyArray_DIM(x, 0) != width:
        return False
    source.type = source_type(x)
    source.data = <const char*>cnp.PyArray_DATA(x)
    source.n_rows = 1
    source.width = width
    source.row_stride = 0
    source.stride = cnp.PyArray_STRIDE(x, 0)
    source.plain = source.type == REAL_SOURCE and (source.stride == sizeof(real) or width == 1)
    source.columns = NULL
    return source.type >= 0


cdef int read_source(array, sz n_rows, sz width, what, index, Source* source) except -1:
    """Describe rows of numbers, n_rows of them (-1: any); errors say what came instead."""
    if not isinstance(array, cnp.ndarray):
        raise TypeError(f"{what}[{index}] must be an array, got {type(array).__name__}")
    if describe(array, width, source):
        if n_rows >= 0 and source.n_rows != n_rows:
            raise ValueError(f"{what}[{index}] must have {n_rows} rows, got {source.n_rows}")
        return 0
    if source_type(array) < 0:
        raise TypeError(f"{what}[{index}] must hold real numbers in native byte order, aligned; "
                        f"got {array.dtype!r}")
    raise ValueError(f"{what}[{index}] must have at least one row of {width} columns, "
                     f"got shape {array.shape}")


cdef int read_sparse(rows, sz n_rows, sz width, what, index, Source* source) except -1:
    """Describe `fastnn._shared.sparse.SparseRows`; each row is checked when it is wanted."""
    cdef cnp.ndarray values = sparse_part(rows.values, REAL_SOURCE, what, index)
    cdef cnp.ndarray columns = sparse_part(rows.columns, INT32, what, index)
    cdef cnp.ndarray starts = sparse_part(rows.starts, INT64, what, index)
    source.n_rows = cnp.PyArray_DIM(starts, 0) - 1
    if source.n_rows < 1 or rows.shape[1] != width:
        raise ValueError(f"{what}[{index}] must have at least one row of {width} columns, "
                         f"got shape {rows.shape}")
    if n_rows >= 0 and source.n_rows != n_rows:
        raise ValueError(f"{what}[{index}] must have {n_rows} rows, got {source.n_rows}")
    source.data = <const char*>cnp.PyArray_DATA(values)
    source.type = REAL_SOURCE
    source.width = width
    source.row_stride = source.stride = 0
    source.plain = False
    source.columns = <const int32_t*>cnp.PyArray_DATA(columns)
    source.starts = <const int64_t*>cnp.PyArray_DATA(starts)
    source.n_numbers = min(cnp.PyArray_DIM(values, 0), cnp.PyArray_DIM(columns, 0))
    return 0


cdef cnp.ndarray sparse_part(array, int type, what, index):
    """An array of sparse rows, which must be a vector of this type side by side."""
    cdef cnp.ndarray x
    if isinstance(array, cnp.ndarray):
        x = array
        if (cnp.PyArray_NDIM(x) == 1 and source_type(x) == type and cnp.PyArray_ISCARRAY_RO(x)):
            return x
    raise TypeError(f"the parts of {what}[{index}] must be contiguous vectors, numbers of "
                    f"{REAL_DTYPE}, columns of int32 and starts of int64")


cdef void* elements(array, int dtype, int ndim, sz n_rows, sz width, what, index) except NULL:
    """Address of the elements of a C-contiguous array; n_rows or width -1 allows any."""
    cdef cnp.ndarray x
    if not isinstance(array, cnp.ndarray):
        raise TypeError(f"{what}[{index}] must be an array, got {type(array).__name__}")
    x = array
    if (cnp.PyArray_TYPE(x) != dtype or cnp.PyArray_NDIM(x) != ndim
            or not cnp.PyArray_ISCARRAY_RO(x)):
        raise TypeError(f"{what}[{index}] must be a C-contiguous {ndim}-D array of "
                        f"{cnp.PyArray_DescrFromType(dtype)}, got a {array.ndim}-D array "
                        f"of {array.dtype} with strides {array.strides}")
    if (n_rows >= 0 and cnp.PyArray_DIM(x, 0) != n_rows) or cnp.PyArray_DIM(x, 0) < 1:
        raise ValueError(f"{what}[{index}] must have {n_rows if n_rows >= 0 else 'at least 1'} "
                         f"rows, got {array.shape[0]}")
    if ndim == 2 and cnp.PyArray_DIM(x, 1) != width:
        raise ValueError(f"{what}[{index}] must have {width} columns, got {array.shape[1]}")
    return cnp.PyArray_DATA(x)


cdef int check_order(const int64_t[::1] order, sz n_rows) except -1:
    cdef sz i
    for i in range(order.shape[0]):
        if not 0 <= order[i] < n_rows:
            raise IndexError(f"order must be from 0 to {n_rows - 1}, got order[{i}] = {order[i]}")
    return 0

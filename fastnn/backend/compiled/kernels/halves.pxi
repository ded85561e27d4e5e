# A product in bfloat16 on ordinary arrays.  calls/dense.pxi has the function of Python.

cdef public void multiply_halves(const HalfProduct* p) noexcept nogil:
    """C += A B: operands rounded to bfloat16, sums in float32."""
    cdef Product product = product_of(pairs(p.K), p.a_room, p.lda if p.a_transposed
                                      else p.lda // 2, p.b_room, p.ldc, p.c, p.ldc)
    cdef sz r
    product.words = PAIRS
    product.start = p.c
    if p.b_transposed:
        pack_rows(p.M, p.K, p.b, p.ldb, p.b_room, p.ldc)
    else:
        pack_columns(p.K, p.ldc, p.b, p.ldb, p.b_room, p.ldc)
    if p.a_transposed:
        pack_columns(p.K, p.lda, p.a, p.lda, p.a_room, p.lda)
        gemm_gradient(p.N, p.ldc, &product)
        return
    for r in range(p.N):
        round_row(p.K, p.lda, p.a + r * p.lda, p.a_room + r * (p.lda // 2))
    gemm(p.N, p.ldc, &product)

/* Preloaded before the C library's own: lets one call that allocates memory fail.
   glibc alone has the __libc_ names that do the work. */
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long calls, failing = -1;

/* Count from 0, and let call number n return NULL; a negative n lets none fail. */
void fail_allocation(long n) {
    __atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&failing, n, __ATOMIC_SEQ_CST);
}

/* The number of calls since then. */
long allocations(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }

static int fails(void) {
    long n = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    if (n != __atomic_load_n(&failing, __ATOMIC_SEQ_CST)) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { return fails() ? NULL : __libc_realloc(p, size); }
void *memalign(size_t align, size_t size) {
    return fails() ? NULL : __libc_memalign(align, size);
}
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **p, size_t align, size_t size) {
    void *memory = memalign(align, size);
    if (memory == NULL) return ENOMEM;
    *p = memory;
    return 0;
}

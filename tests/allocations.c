/* Preloaded before the C library's own: counts every call that allocates, and its bytes.
   glibc alone has the __libc_ names that do the work. */
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long calls, bytes;

long allocation_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
long allocation_bytes(void) { return __atomic_load_n(&bytes, __ATOMIC_SEQ_CST); }

static void count(size_t size) {
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&bytes, (long)size, __ATOMIC_SEQ_CST);
}

void *malloc(size_t size) { count(size); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count(n * size); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { count(size); return __libc_realloc(p, size); }
void *memalign(size_t align, size_t size) { count(size); return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **p, size_t align, size_t size) {
    *p = memalign(align, size);
    return *p == NULL ? ENOMEM : 0;
}

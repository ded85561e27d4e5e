/* Tells ThreadSanitizer the order that GNU's OpenMP library gives to memory accesses.

   libgomp is not compiled with -fsanitize=thread: the sanitizer sees neither the start and the end
   of a parallel region nor a barrier, and reports a race between the two sides of each.  Loaded
   before libgomp, this library passes the two calls that the compiled core makes on to libgomp, and
   announces what they order.  It hides no race inside a phase: a release is acquired only behind
   the barrier or the region that follows. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

typedef void (*Body)(void *);
typedef struct {
    Body body;
    void *data;
    char start, end;
} Region;

static char barrier;

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) { /* libgomp was loaded by an extension, behind this library */
        void *library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_NOLOAD);
        function = library == NULL ? NULL : dlsym(library, name);
    }
    if (function == NULL) abort();
    return function;
}

static void in_order(void *argument) {
    Region *region = argument;
    __tsan_acquire(&region->start);
    region->body(region->data);
    __tsan_release(&region->end);
}

void GOMP_parallel(Body body, void *data, unsigned n_threads, unsigned flags) {
    void (*parallel)(Body, void *, unsigned, unsigned) = next("GOMP_parallel");
    Region region = {body, data, 0, 0};
    __tsan_release(&region.start);
    parallel(in_order, &region, n_threads, flags);
    __tsan_acquire(&region.end);
}

void GOMP_barrier(void) {
    void (*wait)(void) = next("GOMP_barrier");
    __tsan_release(&barrier);
    wait();
    __tsan_acquire(&barrier);
}

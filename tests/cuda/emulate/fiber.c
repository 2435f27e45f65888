/* Runs the threads of a block: each on a stack of its own from the moment when it waits for others.
 *
 * The threads of a warp are started one after the other on one fiber; a thread that waits keeps that fiber, and the next one gets a
 * new one. So a kernel that never waits needs one fiber and no switches. */
#include "config.h"
#undef _FORTIFY_SOURCE /* its longjmp refuses to leave a stack for another */

#include "emulate.h"
#include "emulate_race.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MAX_THREADS = 1024, WARP = 32, MAX_WARPS = MAX_THREADS / WARP, STACK = 128 << 10, GUARD = 4096 };

/* Where a stack was left. */
typedef struct {
    jmp_buf at;
    const void *stack; /* its lowest address */
    size_t size;
    void *fake; /* of the address sanitizer */
} place;

typedef struct fiber {
    place place;
    struct fiber *next;  /* of the idle ones */
    struct fiber *older; /* of all */
} fiber;

typedef enum { NEW, READY, AT_BARRIER, AT_EXCHANGE, DONE } thread_state;

typedef struct {
    thread_state state;
    fiber *fiber; /* that it waits on */
    uint3 index;
    unsigned mask;
    uint64_t bits;
    int source;
    bool syncs;
    const char *file; /* where it waits */
    int line;
} thread;

struct emulate_index emulate_index;

/* One kernel runs at a time, whoever launches it. */
static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;

static struct {
    emulate_kernel kernel;
    const void *arguments;
    const char *name;
    int n;
    thread threads[MAX_THREADS];
    int order[WARP]; /* of the lanes of the warp that is being started */
    int n_order, next;
    int current;     /* thread */
    bool any;        /* of the bits at the last barrier */
    place home;
    fiber *idle, *fiber; /* the current one */
    fiber *newest;       /* those of a kernel that failed are not used again */
    bool failed;
    char why[960];
    uint64_t random;
} block;

static unsigned random_below(unsigned n)
{
    block.random = block.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((block.random >> 33) % n);
}

/* ---- fibers ---- */

/* The address sanitizer is told of every switch. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
static void leave(place *from, const place *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->size);
}
static void arrive(const place *at, place *from)
{
    __sanitizer_finish_switch_fiber(at != NULL ? at->fake : NULL, from != NULL ? &from->stack : NULL, from != NULL ? &from->size : NULL);
}
#else
static void leave(place *from, const place *to)
{
    (void)from;
    (void)to;
}
static void arrive(const place *at, place *from)
{
    (void)at;
    (void)from;
}
#endif

static void place_switch(place *from, place *to)
{
    if (_setjmp(from->at) == 0) {
        leave(from, to);
        _longjmp(to->at, 1);
    }
    arrive(from, from == &block.home ? NULL : &block.home);
}

static void thread_enter(int t)
{
    block.current = t;
    emulate_index.thread = block.threads[t].index;
    emulate_race_enter(t, block.fiber->place.stack, block.fiber->place.size);
}

static void fiber_main(void)
{
    arrive(NULL, &block.home);
    for (;;) {
        while (block.next < block.n_order) {
            thread_enter(block.order[block.next++]);
            block.kernel(block.arguments);
            block.threads[block.current].state = DONE;
        }
        fiber *self = block.fiber;
        self->next = block.idle;
        block.idle = self;
        place_switch(&self->place, &block.home);
    }
}

static void fiber_resume(fiber *next)
{
    block.fiber = next;
    place_switch(&block.home, &next->place);
}

static fiber *fiber_new(void)
{
    fiber *self = calloc(1, sizeof *self);
    char *stack = mmap(NULL, STACK + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (self == NULL || stack == MAP_FAILED || mprotect(stack, GUARD, PROT_NONE) != 0) {
        fprintf(stderr, "emulate: no memory for the stack of a thread\n");
        abort();
    }
    self->place.stack = stack + GUARD;
    self->place.size = STACK;
    self->older = block.newest;
    block.newest = self;
    return self;
}

/* Runs the threads of block.order that were not started on a fiber, until one waits or all are done. */
static void fiber_start(void)
{
    ucontext_t context;
    if (block.idle != NULL) {
        fiber *next = block.idle;
        block.idle = next->next;
        fiber_resume(next);
        return;
    }
    block.fiber = fiber_new();
    getcontext(&context);
    context.uc_stack.ss_sp = (void *)(uintptr_t)block.fiber->place.stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    if (_setjmp(block.home.at) == 0) {
        leave(&block.home, &block.fiber->place);
        setcontext(&context);
    }
    arrive(&block.home, NULL);
}

/* The current thread waits. */
static void thread_wait(thread_state state, const char *file, int line)
{
    int t = block.current;
    thread *self = &block.threads[t];
    self->state = state;
    self->fiber = block.fiber;
    self->file = file;
    self->line = line;
    place_switch(&self->fiber->place, &block.home);
    thread_enter(t);
}

void emulate_barrier(const char *file, int line)
{
    thread_wait(AT_BARRIER, file, line);
}

bool emulate_barrier_or(bool mine, const char *file, int line)
{
    block.threads[block.current].bits = mine;
    thread_wait(AT_BARRIER, file, line);
    return block.any;
}

uint64_t emulate_exchange(unsigned mask, uint64_t bits, int source, const char *file, int line)
{
    thread *self = &block.threads[block.current];
    self->mask = mask;
    self->bits = bits;
    self->source = source < 0 ? emulate_lane() : source;
    self->syncs = source == EMULATE_SYNC;
    thread_wait(AT_EXCHANGE, file, line);
    return block.threads[block.current].bits;
}

int emulate_lane(void)
{
    return block.current % WARP;
}

/* ---- a block ---- */

static void __attribute__((format(printf, 1, 2))) block_fail(const char *format, ...)
{
    char what[640];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    if (!block.failed)
        snprintf(block.why, sizeof block.why, "%s, block %u,%u,%u: %s", block.name, emulate_index.block.x, emulate_index.block.y, emulate_index.block.z, what);
    block.failed = true;
}

#ifdef EMULATE_RACES
void emulate_race_found(const char *what)
{
    block_fail("%s", what);
}
#endif

/* Do two threads wait at the same line? */
static bool is_same_place(const thread *a, const thread *b)
{
    return a->line == b->line && (a->file == b->file || strcmp(a->file, b->file) == 0);
}

/* Lets the lanes of a warp go on whose exchange is complete. True when there were some. */
static bool warp_exchange(int first, int n)
{
    bool released = false;
    thread *lanes = &block.threads[first];
    for (int i = 0; i < n; i++) {
        unsigned mask = lanes[i].mask;
        if (lanes[i].state != AT_EXCHANGE)
            continue;
        if ((mask >> i & 1) == 0 || (n < WARP && mask >> n != 0 && mask != 0xffffffffu)) {
            block_fail("thread %d calls with mask %08x at %s:%d, which is not of its warp", first + i, mask, lanes[i].file,
                       lanes[i].line);
            return false;
        }
        bool complete = true;
        for (int j = 0; j < WARP; j++)
            if (mask >> j & 1)
                complete = complete && j < n && lanes[j].state == AT_EXCHANGE && lanes[j].mask == mask && is_same_place(&lanes[j], &lanes[i]);
        if (!complete)
            continue;
        uint64_t bits[WARP];
        for (int j = 0; j < n; j++)
            bits[j] = lanes[j].bits;
        for (int j = 0; j < n; j++) {
            if ((mask >> j & 1) == 0)
                continue;
            int source = lanes[j].source;
            if (source >= n || (mask >> source & 1) == 0) {
                block_fail("thread %d reads from lane %d, which takes no part in the shuffle at %s:%d", first + j, source,
                           lanes[j].file, lanes[j].line);
                return false;
            }
            lanes[j].bits = bits[source];
            lanes[j].state = READY;
        }
        if (lanes[i].syncs)
            emulate_race_warp(first, mask);
        released = true;
    }
    return released;
}

/* Runs a warp until all its threads are done or wait for the block. */
static void warp_run(int first, int n)
{
    int start = (int)random_below((unsigned)n), step = (int)random_below(WARP / 2) * 2 + 1;
    if (n < WARP)
        step = 1;
    block.n_order = block.next = 0;
    for (int i = 0; i < n; i++) {
        int t = first + (start + i * step) % n;
        if (block.threads[t].state == NEW)
            block.order[block.n_order++] = t;
    }
    while (block.next < block.n_order)
        fiber_start();
    do {
        for (int i = 0; i < n; i++) {
            thread *next = &block.threads[first + (start + i * step) % n];
            if (next->state == READY)
                fiber_resume(next->fiber);
        }
    } while (!block.failed && warp_exchange(first, n));
}

/* Where the threads of a block are that cannot go on. */
static void block_stuck(void)
{
    const thread *first = NULL;
    int waiting = 0, done = 0, elsewhere = 0, t = 0;
    for (int i = 0; i < block.n; i++) {
        const thread *one = &block.threads[i];
        if (one->state == DONE) {
            done++;
        } else if (first == NULL) {
            first = one;
            t = i;
            waiting = 1;
        } else if (one->state == first->state && is_same_place(one, first)) {
            waiting++;
        } else {
            elsewhere++;
        }
    }
    if (first != NULL)
        block_fail("%d of %d threads (thread %d the first) wait at the %s in %s:%d, %d have ended, %d wait elsewhere", waiting,
                   block.n, t, first->state == AT_BARRIER ? "barrier" : "shuffle", first->file, first->line, done, elsewhere);
}

static void block_run(void)
{
    int n_warps = (block.n + WARP - 1) / WARP;
    emulate_race_block();
    for (int i = 0; i < block.n; i++) {
        unsigned x = emulate_index.threads.x, y = emulate_index.threads.y, u = (unsigned)i;
        block.threads[i].state = NEW;
        block.threads[i].index = (uint3){u % x, u / x % y, u / x / y};
    }
    for (;;) {
        unsigned start = random_below((unsigned)n_warps);
        for (int i = 0; i < n_warps && !block.failed; i++) {
            int first = (int)((start + (unsigned)i) % (unsigned)n_warps) * WARP;
            warp_run(first, block.n - first < WARP ? block.n - first : WARP);
        }
        if (block.failed)
            return;
        const thread *leader = &block.threads[0];
        bool together = true, ended = true;
        for (int i = 0; i < block.n; i++) {
            const thread *one = &block.threads[i];
            ended = ended && one->state == DONE;
            together = together && one->state == AT_BARRIER && is_same_place(one, leader);
        }
        if (ended)
            return;
        if (!together) {
            block_stuck();
            return;
        }
        block.any = false;
        for (int i = 0; i < block.n; i++) {
            block.threads[i].state = READY;
            block.any = block.any || block.threads[i].bits != 0;
        }
        emulate_race_barrier();
    }
}

/* ---- a launch ---- */

typedef struct {
    emulate_kernel kernel;
    dim3 grid, block;
    const char *type;
    const void *function;
    max_align_t arguments[];
} launch;

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The symbol where it is known, with the types of the parameters, as g++ writes them: "[with P = {...}; A = ...]". */
static const char *kernel_name(const launch *self)
{
    static char name[256];
    Dl_info info;
    bool known = dladdr(self->function, &info) != 0 && info.dli_sname != NULL && info.dli_saddr == self->function;
    const char *with = strstr(self->type, "[with ");
    snprintf(name, sizeof name, "kernel %s %.120s", known ? info.dli_sname : "", with != NULL ? with : self->type);
    return name;
}

static cudaError_t launch_run(const void *closure)
{
    const launch *self = closure;
    uint64_t n = (uint64_t)self->grid.x * self->grid.y * self->grid.z;
    pthread_mutex_lock(&running);
    block.kernel = self->kernel;
    block.arguments = self->arguments;
    block.name = kernel_name(self);
    block.n = (int)(self->block.x * self->block.y * self->block.z);
    block.failed = false;
    if (block.random == 0)
        block.random = (uint64_t)emulate_setting("MUSTER_EMULATE_SEED", 1) * 2 + 1;
    emulate_index.threads = self->block;
    emulate_index.blocks = self->grid;
    uint64_t at = random_below(n < 1u << 30 ? (unsigned)n : 1u << 30), step = random_below(1u << 30) % n | 1;
    while (common_divisor(step, n) != 1)
        step += 2;
    emulate_race_launch();
    for (uint64_t i = 0; i < n && !block.failed; i++) {
        unsigned x = self->grid.x, y = self->grid.y;
        emulate_index.block = (uint3){(unsigned)(at % x), (unsigned)(at / x % y), (unsigned)(at / x / y)};
        block_run();
        at = (at + step) % n;
    }
    emulate_race_end();
    bool failed = block.failed;
    pthread_mutex_unlock(&running);
    return failed ? emulate_fault(cudaErrorLaunchFailure, "%s", block.why) : cudaSuccess;
}

cudaError_t emulate_launch(const cudaLaunchConfig_t *config, const void *function, const char *type, emulate_kernel kernel,
                           const void *arguments, size_t bytes)
{
    cudaError_t ready = emulate_ready();
    if (ready != cudaSuccess)
        return emulate_error(ready);
    dim3 g = config->gridDim, b = config->blockDim;
    if (g.x == 0 || g.y == 0 || g.z == 0 || b.x == 0 || b.y == 0 || b.z == 0 || g.x > 0x7fffffff || g.y > 65535 ||
        g.z > 65535 || b.x > 1024 || b.y > 1024 || b.z > 64 || b.x * b.y * b.z > MAX_THREADS)
        return emulate_error(cudaErrorInvalidConfiguration);
    if (config->dynamicSmemBytes != 0 || config->numAttrs != 0)
        return emulate_error(cudaErrorNotSupported);
    launch *self = malloc(sizeof *self + bytes);
    if (self == NULL)
        return emulate_error(cudaErrorMemoryAllocation);
    *self = (launch){.kernel = kernel, .grid = g, .block = b, .type = type, .function = function};
    memcpy(self->arguments, arguments, bytes);
    cudaError_t status = emulate_submit(config->stream, launch_run, self, sizeof *self + bytes);
    free(self);
    return status;
}

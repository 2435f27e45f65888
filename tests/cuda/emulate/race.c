/* Races of a kernel's threads. The compiler's -fsanitize=thread calls a function of this file for every access; its own runtime is not linked.
 * Threads run one at a time, so what is looked for is not what happened at the same time, but what nothing orders:
 *
 *   - blocks of a launch are not ordered at all; their shared memory is one place here, but nothing that they share;
 *   - threads of a block are ordered by __syncthreads, lanes of a warp by a __syncwarp of both; shuffles and atomics order nothing.
 *
 * Two accesses race that nothing orders, to the same byte, where one is a write and not both are atomic. What a thread reads of shared memory that its
 * block has not written is an error, too: here it would be what another block has left.
 *
 * For every byte is kept, in cells for four where those are used together: its last write, and who has read it since or done something atomic. Time
 * goes in steps: each launch, block and barrier begins a new one, so that a step tells whether an access is of this launch, of this block, and behind
 * the last barrier. */
#include "emulate_race.h"

#ifdef EMULATE_RACES

#include "emulate.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARP = 32, MAX_WARPS = 32, THREAD_BITS = 10, STAMP_BITS = 16, MAX_STAMP = (1 << STAMP_BITS) - 1 };
enum { PAGE = 4096, PAGE_BITS = 12, GRANULE = 4, GRANULES = PAGE / GRANULE, UNIT = 256, LEAF_BITS = 17, TOP_BITS = 18 };

typedef enum { READ, WRITE, ATOMIC } access_kind;
/* Device and pinned memory; shared memory; what else of the host a kernel looks at (its arguments). */
typedef enum { OF_GRID, OF_BLOCK, OTHER } memory_kind;

/* An access: its step and thread; its place in the program and the thread's stamp (how many __syncwarp its warp had done in this step when the
 * thread last took part in one). */
typedef struct {
    uint64_t when, where;
} record;

/* Accesses that do not race with one another. */
typedef struct {
    record first;       /* of the launch */
    record last, other; /* of the newest step; other: of another warp than last, where that is of the same step */
    uint32_t lanes;     /* of last's warp, with its stamp or an older one */
} accesses;

typedef struct {
    record write;
    accesses reads;
    uint64_t split; /* the last launch in which its bytes had cells of their own began before this */
} cell;

typedef struct {
    cell *whole, *bytes; /* of each granule, of each byte; made when they are needed */
    accesses *atomics;   /* of each granule; likewise */
    uint16_t shared;     /* units that blocks share: device and pinned memory */
    bool is_static;      /* what kernels read and write there is __shared__ */
} page;

/* What lanes know of the others of their warp, since the last barrier. */
typedef struct {
    uint64_t step;
    unsigned n; /* __syncwarp */
    uint16_t stamp[WARP];
    uint16_t seen[WARP][WARP]; /* seen[a][b]: a is behind what b did with a smaller stamp */
} warp;

static _Thread_local bool on_device __attribute__((tls_model("initial-exec")));

/* One kernel runs at a time. */
static struct {
    uint64_t step, launch, block; /* now; when they began */
    uint64_t when;                /* step and thread */
    unsigned stamp;
    uintptr_t stack;
    size_t stack_bytes;
    warp warps[MAX_WARPS];
    const uint16_t *seen; /* of the current thread; NULL: of this step nothing */
    bool atomic;
    struct {
        uint64_t step;
        uint3 index;
    } *blocks; /* of the launch, in the order in which they ran */
    size_t n_blocks, capacity;
} now;

static page **pages[1 << TOP_BITS];
static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER;

static void *zeros(size_t n, size_t size)
{
    void *block = calloc(n, size);
    if (block == NULL) {
        fprintf(stderr, "emulate: no memory to look for races\n");
        abort();
    }
    return block;
}

/* ---- pages ---- */

/* Does the page lie in the variables of this object? */
static int holds_page(struct dl_phdr_info *object, size_t size, void *address)
{
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + part->p_vaddr, page_start = *(const uintptr_t *)address;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) != 0 && page_start + PAGE > start && page_start < start + part->p_memsz)
            return 1;
    }
    return 0;
}

static page *page_add(uintptr_t number)
{
    uintptr_t start = number << PAGE_BITS;
    bool is_static = dl_iterate_phdr(holds_page, &start) != 0;
    page ***top = &pages[number >> LEAF_BITS & ((1 << TOP_BITS) - 1)];
    pthread_mutex_lock(&growing);
    if (*top == NULL)
        __atomic_store_n(top, zeros((size_t)1 << LEAF_BITS, sizeof **top), __ATOMIC_RELEASE);
    page **leaf = &(*top)[number & ((1 << LEAF_BITS) - 1)];
    if (*leaf == NULL) {
        page *self = zeros(1, sizeof *self);
        self->is_static = is_static;
        __atomic_store_n(leaf, self, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&growing);
    return *leaf;
}

static inline page *page_of(uintptr_t address)
{
    uintptr_t number = address >> PAGE_BITS;
    page **top = __atomic_load_n(&pages[number >> LEAF_BITS & ((1 << TOP_BITS) - 1)], __ATOMIC_ACQUIRE);
    page *self = top != NULL ? __atomic_load_n(&top[number & ((1 << LEAF_BITS) - 1)], __ATOMIC_ACQUIRE) : NULL;
    return self != NULL ? self : page_add(number);
}

static void page_forget(page *self)
{
    free(self->whole);
    free(self->bytes);
    free(self->atomics);
    self->whole = self->bytes = NULL;
    self->atomics = NULL;
}

void emulate_race_memory(const void *address, size_t bytes, bool comes)
{
    uintptr_t end = (uintptr_t)address + bytes;
    for (uintptr_t at = (uintptr_t)address / UNIT * UNIT; at < end; at += UNIT) {
        page *self = page_of(at);
        uint16_t unit = (uint16_t)(1u << (at % PAGE / UNIT));
        if (comes)
            __atomic_fetch_or(&self->shared, unit, __ATOMIC_RELAXED);
        else if (__atomic_and_fetch(&self->shared, (uint16_t)~unit, __ATOMIC_RELAXED) == 0 && at / PAGE * PAGE >= (uintptr_t)address &&
                 at / PAGE * PAGE + PAGE <= end)
            page_forget(self);
    }
}

/* ---- time ---- */

void emulate_race_launch(void)
{
    now.launch = ++now.step;
    now.n_blocks = 0;
    now.atomic = false;
    on_device = true;
}

void emulate_race_end(void)
{
    on_device = false;
}

void emulate_race_block(void)
{
    now.block = ++now.step;
    if (now.n_blocks == now.capacity) {
        now.capacity = 2 * now.capacity + 64;
        now.blocks = realloc(now.blocks, now.capacity * sizeof *now.blocks);
        if (now.blocks == NULL)
            abort();
    }
    now.blocks[now.n_blocks].step = now.step;
    now.blocks[now.n_blocks++].index = emulate_index.block;
}

void emulate_race_barrier(void)
{
    now.step++;
}

void emulate_race_enter(int t, const void *stack, size_t bytes)
{
    const warp *mine = &now.warps[t / WARP];
    bool synced = mine->step == now.step;
    now.when = now.step << THREAD_BITS | (unsigned)t;
    now.stamp = synced ? mine->stamp[t % WARP] : 0;
    now.seen = synced ? mine->seen[t % WARP] : NULL;
    now.stack = (uintptr_t)stack;
    now.stack_bytes = bytes;
}

void emulate_race_warp(int first, unsigned mask)
{
    warp *self = &now.warps[first / WARP];
    uint16_t all[WARP] = {0};
    if (self->step != now.step)
        *self = (warp){.step = now.step};
    self->n += self->n < MAX_STAMP;
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < WARP && mask >> i & 1; j++)
            all[j] = all[j] > self->seen[i][j] ? all[j] : self->seen[i][j];
    for (int i = 0; i < WARP; i++)
        if (mask >> i & 1)
            all[i] = self->stamp[i] = (uint16_t)self->n;
    for (int i = 0; i < WARP; i++)
        if (mask >> i & 1)
            memcpy(self->seen[i], all, sizeof all);
}

static uint64_t step_of(const record *self)
{
    return self->when >> THREAD_BITS;
}

static int thread_of(const record *self)
{
    return (int)(self->when & ((1 << THREAD_BITS) - 1));
}

/* ---- what is ordered ---- */

static bool is_of_my_warp(const record *self)
{
    return self->when / WARP == now.when / WARP;
}

/* Is the current thread behind what a lane of its warp did in this step with this stamp? */
static bool is_behind(unsigned lane, const record *at)
{
    unsigned stamp = (unsigned)(at->where & MAX_STAMP);
    return lane == now.when % WARP || (now.seen != NULL && (now.seen[lane] > stamp || stamp == MAX_STAMP));
}

/* Does it race with what the current thread does now? `shared`: memory that blocks share. */
static inline bool record_races(const record *self, bool shared)
{
    uint64_t step = step_of(self);
    if (step < now.launch)
        return false;
    if (step < now.block)
        return shared;
    return step == now.step && !(is_of_my_warp(self) && is_behind((unsigned)(self->when % WARP), self));
}

static inline bool accesses_race(const accesses *self, bool shared, record *found)
{
    if (step_of(&self->first) < now.launch)
        return false;
    *found = self->first;
    if (shared && step_of(&self->first) < now.block)
        return true;
    if (step_of(&self->last) != now.step)
        return false;
    *found = is_of_my_warp(&self->last) ? self->other : self->last;
    if (!is_of_my_warp(&self->last) || step_of(&self->other) == now.step)
        return true;
    *found = self->last;
    for (unsigned lane = 0; lane < WARP; lane++)
        if (self->lanes >> lane & 1 && !is_behind(lane, &self->last)) {
            found->when = found->when / WARP * WARP + lane;
            return true;
        }
    return false;
}

static inline void accesses_add(accesses *self, const record *mine)
{
    uint32_t lane = 1u << (mine->when % WARP);
    if (step_of(&self->first) < now.launch)
        self->first = *mine;
    if (step_of(&self->last) != now.step) {
        self->last = *mine;
        self->lanes = lane;
    } else if (!is_of_my_warp(&self->last)) {
        self->other = *mine;
    } else {
        uint64_t newer = (mine->where & MAX_STAMP) > (self->last.where & MAX_STAMP);
        for (unsigned i = 0; newer && i < WARP; i++)
            if (self->lanes >> i & 1 && is_behind(i, &self->last))
                self->lanes &= ~(1u << i);
        self->lanes |= lane;
        if (newer || self->last.when == mine->when)
            self->last = *mine;
    }
}

/* ---- reports ---- */

/* "reduce.cuh:182 in softmax.cu:40": where the compiler says that an instruction is from. */
static void place_print(char *to, size_t size, uint64_t where)
{
    const char *code = (const char *)(uintptr_t)(where >> STAMP_BITS);
    Dl_info info = {0};
    char command[512], line[512];
    if (dladdr(code, &info) == 0 || info.dli_fname == NULL) {
        snprintf(to, size, "%p", (const void *)code);
        return;
    }
    size_t offset = (size_t)(code - (const char *)info.dli_fbase), length = 0;
    snprintf(to, size, "%s+0x%zx", info.dli_fname, offset);
    snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%zx 2>/dev/null", info.dli_fname, offset - 1);
    FILE *lines = popen(command, "r");
    for (int i = 0; lines != NULL && i < 4 && fgets(line, sizeof line, lines) != NULL; i++) {
        const char *name = strrchr(line, '/') != NULL ? strrchr(line, '/') + 1 : line;
        if (line[0] == '?')
            break;
        length += (size_t)snprintf(to + length, size - length, "%s%.*s", i > 0 ? " in " : "", (int)strcspn(name, " \n"), name);
        if (length >= size)
            break;
    }
    if (lines != NULL)
        pclose(lines);
}

static void report_unwritten(const record *mine)
{
    char what[320], here[160];
    on_device = false;
    place_print(here, sizeof here, mine->where);
    snprintf(what, sizeof what, "thread %d reads shared memory at %s that its block has not written", thread_of(mine), here);
    emulate_race_found(what);
}

static void report(const record *earlier, access_kind earlier_kind, const record *mine, access_kind kind, uintptr_t address)
{
    static const char *const does[] = {[READ] = "reads", [WRITE] = "writes", [ATOMIC] = "atomically changes"};
    static const char *const did[] = {[READ] = "read", [WRITE] = "written", [ATOMIC] = "atomically changed"};
    char what[640], here[160], there[160], place[96] = "shared memory", block[64] = "";
    const void *start;
    size_t bytes, i = now.n_blocks;
    on_device = false;
    if (emulate_memory_of((const void *)address, &start, &bytes))
        snprintf(place, sizeof place, "byte %zu of %zu of device memory", (size_t)(address - (uintptr_t)start), bytes);
    while (i > 1 && now.blocks[i - 1].step > step_of(earlier))
        i--;
    uint3 index = now.blocks[i - 1].index;
    if (step_of(earlier) < now.block)
        snprintf(block, sizeof block, " of block %u,%u,%u", index.x, index.y, index.z);
    place_print(here, sizeof here, mine->where);
    place_print(there, sizeof there, earlier->where);
    snprintf(what, sizeof what, "race: thread %d %s %s at %s, which thread %d%s has %s at %s, and nothing orders them", thread_of(mine), does[kind],
             place, here, thread_of(earlier), block, did[earlier_kind], there);
    emulate_race_found(what);
}

/* ---- accesses ---- */

static inline bool cell_touch(cell *self, accesses *atomics, access_kind kind, memory_kind memory, const record *mine, uintptr_t address)
{
    record found;
    bool shared = memory == OF_GRID;
    if (record_races(&self->write, shared)) {
        report(&self->write, WRITE, mine, kind, address);
        return false;
    }
    if (kind != READ && accesses_race(&self->reads, shared, &found)) {
        report(&found, READ, mine, kind, address);
        return false;
    }
    if (kind != ATOMIC && atomics != NULL && accesses_race(atomics, shared, &found)) {
        report(&found, ATOMIC, mine, kind, address);
        return false;
    }
    if (kind == READ && memory == OF_BLOCK && step_of(&self->write) < now.block && (atomics == NULL || step_of(&atomics->last) < now.block)) {
        report_unwritten(mine);
        return false;
    }
    if (kind == WRITE)
        self->write = *mine;
    else
        accesses_add(kind == READ ? &self->reads : atomics, mine);
    return true;
}

static void page_touch(uintptr_t from, uintptr_t end, access_kind kind, const record *mine)
{
    page *self = page_of(from);
    memory_kind memory = self->shared >> (from % PAGE / UNIT) & 1 ? OF_GRID : self->is_static ? OF_BLOCK : OTHER;
    bool going = true;
    if (self->whole == NULL)
        self->whole = zeros(GRANULES, sizeof *self->whole);
    if (self->atomics == NULL && kind == ATOMIC)
        self->atomics = zeros(GRANULES, sizeof *self->atomics);
    while (from < end && going) {
        size_t g = from % PAGE / GRANULE, to = (from / GRANULE + 1) * GRANULE < end ? (from / GRANULE + 1) * GRANULE : end;
        cell *whole = &self->whole[g];
        accesses *atomics = self->atomics != NULL ? &self->atomics[g] : NULL;
        if (to - from < GRANULE && whole->split < now.launch) {
            if (self->bytes == NULL)
                self->bytes = zeros(PAGE, sizeof *self->bytes);
            for (int i = 0; i < GRANULE; i++)
                self->bytes[g * GRANULE + (size_t)i] = *whole;
            whole->split = now.step;
        }
        if (whole->split < now.launch)
            going = cell_touch(whole, atomics, kind, memory, mine, from);
        for (; whole->split >= now.launch && from < to && going; from++)
            going = cell_touch(&self->bytes[from % PAGE], atomics, kind, memory, mine, from);
        from = to;
    }
}

static inline __attribute__((always_inline)) void touch(const void *address, size_t bytes, access_kind kind, const void *code)
{
    uintptr_t from = (uintptr_t)address, end = from + bytes;
    if (!on_device || from - now.stack < now.stack_bytes || from - (uintptr_t)&emulate_index < sizeof emulate_index)
        return;
    record mine = {now.when, (uint64_t)(uintptr_t)code << STAMP_BITS | now.stamp};
    while (from < end && on_device) {
        uintptr_t to = (from / UNIT + 1) * UNIT < end ? (from / UNIT + 1) * UNIT : end;
        page_touch(from, to, now.atomic ? ATOMIC : kind, &mine);
        from = to;
    }
}

void emulate_race_atomic(bool begins)
{
    now.atomic = begins && on_device;
}

/* ---- what the compiler calls ---- */

#define HOOK(name, bytes, kind)                                                                                                                   \
    void name(void *address);                                                                                                                     \
    void name(void *address)                                                                                                                      \
    {                                                                                                                                             \
        touch(address, bytes, kind, __builtin_return_address(0));                                                                                 \
    }
#define HOOKS(bytes)                                                                                                                              \
    HOOK(__tsan_read##bytes, bytes, READ)                                                                                                         \
    HOOK(__tsan_write##bytes, bytes, WRITE)                                                                                                       \
    HOOK(__tsan_unaligned_read##bytes, bytes, READ)                                                                                               \
    HOOK(__tsan_unaligned_write##bytes, bytes, WRITE)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes)
{
    touch(address, bytes, READ, __builtin_return_address(0));
}

void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes)
{
    touch(address, bytes, WRITE, __builtin_return_address(0));
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

#endif

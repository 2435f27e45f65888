/* Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), greedy form. */
#include "config/diff.h"

#include "core/mem.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Beyond MAX_EDITS inserted and deleted lines all between the equal beginning and end counts as changed. */
enum { CONTEXT = 3, MAX_EDITS = 1000 };

typedef struct {
    const char *text;
    size_t length;
    uint64_t hash;
    bool changed; /* deleted from a, inserted in b */
} line;

typedef struct {
    line *item; /* owned */
    int n;
} lines;

static mu_err split(const char *text, lines *out)
{
    size_t n = 0;
    for (const char *at = text; *at; at = strchr(at, '\n') + 1)
        n++;
    if (n > INT32_MAX / 2)
        return MU_FAIL(MU_ERR_OVERFLOW, "a text of %zu lines is too long to compare", n);
    MU_TRY(mu_calloc(&out->item, n, sizeof(line)));
    for (line *at = out->item; *text; at++) {
        at->text = text;
        at->length = (size_t)(strchr(text, '\n') + 1 - text);
        at->hash = 0xcbf29ce484222325u; /* FNV-1a */
        for (size_t i = 0; i < at->length; i++)
            at->hash = (at->hash ^ (unsigned char)text[i]) * 0x100000001b3u;
        text += at->length;
    }
    out->n = (int)n;
    return MU_OK;
}

static bool equal(const line *a, const line *b)
{
    return a->hash == b->hash && a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

/* The furthest x on diagonal k (x - y = k) from those of one edit less, `v`; -1: none. *down: by an insertion. */
static int step_to(const int *v, int k, int n, int m, bool *down)
{
    int below = v[k + 1], right = v[k - 1] >= 0 ? v[k - 1] + 1 : -1;
    if (below - k > m)
        below = -1;
    if (right > n)
        right = -1;
    *down = below >= right;
    return *down ? below : right;
}

/* Marks the changed lines of a[0, n) and b[0, m). v_of holds a row of 2 * MAX_EDITS + 3 for each number of edits. */
static void mark_changes(line *a, int n, line *b, int m, int *v_of)
{
    enum { ROW = 2 * MAX_EDITS + 3 };
    int d, k, x = 0, y;
    bool down, found = false;
    for (d = 0; d <= MAX_EDITS && !found; d++) {
        int *v = v_of + (size_t)d * ROW + MAX_EDITS + 1;
        for (k = -MAX_EDITS - 1; k <= MAX_EDITS + 1; k++)
            v[k] = -1;
        for (k = -d; k <= d && !found; k += 2) {
            x = d ? step_to(v - ROW, k, n, m, &down) : 0;
            while (x >= 0 && x < n && x - k < m && equal(&a[x], &b[x - k]))
                x++;
            v[k] = x;
            found = x == n && x - k == m;
        }
    }
    if (!found) {
        for (x = 0; x < n; x++)
            a[x].changed = true;
        for (y = 0; y < m; y++)
            b[y].changed = true;
        return;
    }
    for (d--, k = n - m; d > 0; d--) {
        const int *v = v_of + (size_t)(d - 1) * ROW + MAX_EDITS + 1;
        x = step_to(v, k, n, m, &down);
        if (down)
            b[x - k - 1].changed = true;
        else
            a[x - 1].changed = true;
        k += down ? 1 : -1;
    }
}

/* One hunk: a[i, i_end) against b[j, j_end), context included. */
static void append_hunk(mu_text *out, const lines *a, int i, int i_end, const lines *b, int j, int j_end)
{
    mu_text_printf(out, "@@ -%d,%d +%d,%d @@\n", i_end > i ? i + 1 : i, i_end - i, j_end > j ? j + 1 : j, j_end - j);
    while (i < i_end || j < j_end) {
        const line *at;
        if (i < i_end && a->item[i].changed) {
            at = &a->item[i++];
            mu_text_append(out, "-");
        } else if (j < j_end && b->item[j].changed) {
            at = &b->item[j++];
            mu_text_append(out, "+");
        } else {
            at = &a->item[i++];
            j++;
            mu_text_append(out, " ");
        }
        mu_text_append_n(out, at->text, at->length);
    }
}

static void append_hunks(mu_text *out, const lines *a, const lines *b)
{
    int i = 0, j = 0; /* unchanged lines are in step */
    while (i < a->n || j < b->n) {
        if (i < a->n && j < b->n && !a->item[i].changed && !b->item[j].changed) {
            i++;
            j++;
            continue;
        }
        int before = i < CONTEXT ? i : CONTEXT, i_end = i, j_end = j, same = 0;
        while ((i_end < a->n || j_end < b->n) && same <= 2 * CONTEXT) {
            bool changed = (i_end < a->n && a->item[i_end].changed) || (j_end < b->n && b->item[j_end].changed);
            same = changed ? 0 : same + 1;
            if (changed && i_end < a->n && a->item[i_end].changed) {
                i_end++;
            } else if (changed) {
                j_end++;
            } else {
                i_end++;
                j_end++;
            }
        }
        int cut = same > CONTEXT ? same - CONTEXT : 0;
        append_hunk(out, a, i - before, i_end - cut, b, j - before, j_end - cut);
        i = i_end;
        j = j_end;
    }
}

mu_err mu_text_diff(const char *a_text, const char *a_name, const char *b_text, const char *b_name, char **out)
{
    lines a = {0}, b = {0};
    mu_text text = {0};
    int *v_of = NULL, same = 0, tail = 0;
    mu_err err;
    MU_TRY_GOTO(err, split(a_text, &a), done);
    MU_TRY_GOTO(err, split(b_text, &b), done);
    while (same < a.n && same < b.n && equal(&a.item[same], &b.item[same]))
        same++;
    while (tail < a.n - same && tail < b.n - same && equal(&a.item[a.n - 1 - tail], &b.item[b.n - 1 - tail]))
        tail++;
    MU_TRY_GOTO(err, mu_alloc(&v_of, sizeof(int) * (MAX_EDITS + 1) * (2 * MAX_EDITS + 3)), done);
    mark_changes(a.item + same, a.n - same - tail, b.item + same, b.n - same - tail, v_of);
    if (same < a.n || same < b.n) {
        mu_text_printf(&text, "--- %s\n+++ %s\n", a_name, b_name);
        append_hunks(&text, &a, &b);
    }
    MU_TRY_GOTO(err, mu_text_take(&text, out), done);
done:
    mu_text_release(&text);
    mu_free(v_of);
    mu_free(a.item);
    mu_free(b.item);
    return err;
}

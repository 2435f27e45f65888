/* Orders that a device was given, as a list that can be compared, given again, and recorded. What repeat.c works with. */
#ifndef MU_BACKEND_ORDERS_H
#define MU_BACKEND_ORDERS_H

#include "backend.h"

typedef enum { MU_ORDER_KERNEL, MU_ORDER_UPLOAD, MU_ORDER_COPY, MU_ORDER_MARK, MU_ORDER_FOLLOW, MU_ORDER_COLLECT } mu_order_kind;

/* Everything is borrowed. Fields that a kind has not are 0. */
typedef struct {
    mu_order_kind kind;
    mu_lane lane;
    mu_kernel *kernel;
    void *to; /* UPLOAD, COPY */
    const void *from; /* COPY */
    size_t bytes;
    size_t mail;    /* UPLOAD: where its bytes are in those of all uploads of the list */
    mu_mark *mark;  /* MARK, FOLLOW: the one of the last time; what counts is where it stands */
    int behind;     /* FOLLOW: the order of the list that set the mark; -1: one from before */
    mu_device_comm *comm;
    mu_collective what;
} mu_order;

bool mu_order_equal(const mu_order *a, const mu_order *b);

typedef struct {
    mu_order *order;
    size_t n, capacity;
    size_t mail_bytes; /* of all uploads, each MU_ALIGN-aligned */
} mu_orders;

/* Zeros are an empty list. */
void mu_orders_release(mu_orders *orders);
void mu_orders_clear(mu_orders *orders);
/* Sets the new one's `mail`. */
MU_CHECKED mu_err mu_orders_append(mu_orders *orders, const mu_order *order);
/* The newest that set this mark, of the first n; or -1. */
int mu_orders_find_mark(const mu_orders *orders, size_t n, const mu_mark *mark);
bool mu_orders_use_lane(const mu_orders *orders, mu_lane lane);

/* Gives one to the device, with the functions of `ops`. mail: the bytes of all uploads. */
MU_CHECKED mu_err mu_order_give(mu_backend *backend, const mu_backend_ops *ops, const mu_order *order, const char *mail);

/* Records them. Replay n reads the bytes of uploads at mail + n % turns * stride; counts: 8 bytes of the device for each of them. Lanes begin behind that of
 * the kernels and end before it goes on; marks from before are not followed. */
MU_CHECKED mu_err mu_orders_record(mu_backend *backend, const mu_backend_ops *ops, const mu_orders *orders, const char *mail, size_t stride, int turns,
                                   char *counts, mu_recording **out);

#endif

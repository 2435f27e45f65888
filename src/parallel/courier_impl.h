/* What the couriers share: of parcels in host memory (courier_thread.c) and in that of devices (courier_device.c). */
#ifndef MU_PARALLEL_COURIER_IMPL_H
#define MU_PARALLEL_COURIER_IMPL_H

#include "parallel/courier.h"

typedef struct {
    size_t size; /* of the instance, whose first member is a mu_courier */
    mu_err (*prepare)(mu_courier *courier, const mu_courier_options *options); /* by this rank alone */
    mu_err (*open)(mu_courier *courier, const mu_courier_options *options);    /* Collective, once all are prepared; all return alike */
    void (*close)(mu_courier *courier); /* Collective; also after prepare or open have failed */
    void (*send)(mu_courier *courier, mu_parcel *parcel); /* a sound one, that is not on its way */
    mu_err (*wait)(mu_courier *courier, mu_parcel *parcel); /* parcel->err, whose record is courier->error */
    mu_courier_times (*take_times)(mu_courier *courier);
} mu_courier_ops;

struct mu_courier {
    const mu_courier_ops *ops;
    mu_comm *outer;      /* borrowed */
    mu_backend *backend; /* borrowed; NULL: host memory */
    size_t wire_bytes;   /* of the largest parcel in a narrow dtype */
    mu_error error;      /* of parcels that failed */
};

extern const mu_courier_ops mu_courier_thread, mu_courier_device;

/* Does something else travel than what was given? */
static inline bool mu_parcel_is_narrow(const mu_parcel *p)
{
    return p->wire != MU_NONE && p->wire != p->dtype;
}

#endif

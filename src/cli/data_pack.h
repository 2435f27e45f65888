/* What packing shares: the options, and what becomes of them. A source finds out what there is (scan), and writes this rank's part. */
#ifndef MU_CLI_DATA_PACK_H
#define MU_CLI_DATA_PACK_H

#include "cli/cli.h"
#include "data/h5_dataset.h"

/* START:STOP:STEP of the source's samples, as Python's slices of numbers that are not negative. */
typedef struct {
    int64_t start, stop, step;
} pack_range;

typedef struct pack pack;
typedef struct {
    /* Collective; the ranks return alike. Sets n, n_classes and field[PACK_IMAGES]; *state is what write needs, released by close also after
     * a failure. */
    mu_err (*scan)(pack *p, void **state);
    /* Not collective. Appends this rank's samples. */
    mu_err (*write)(pack *p, void *state);
    void (*close)(void *state);
} pack_source;

enum { PACK_IMAGES, PACK_LABELS, PACK_FIELDS };
enum { PACK_RANGES = 16 };

struct pack {
    const char *out, *images, *labels, *csv, *folder, *list, *label_column, *shape, *dtype, *select, *skip;
    bool decode, skip_corrupt;
    int64_t width, height; /* --size: of all images, which are decoded; 0: as they are */
    cli_list classes; /* names; borrowed */
    pack_range range[PACK_RANGES];
    int n_ranges;
    mu_comm *comm;
    const pack_source *source;

    mu_h5_field field[PACK_FIELDS];
    int64_t n, n_classes; /* samples of all ranks */
    int64_t first, end;   /* those of this rank, once the writer is open */
    mu_h5_writer *writer;
};

extern const pack_source pack_idx, pack_csv, pack_folder;

/* Whether --select and --skip take sample i of the source, and how many they take of n. */
bool pack_takes(const pack *p, int64_t i);
int64_t pack_count(const pack *p, int64_t n);
/* Sets the field of images to samples of a type as found at `where`, or as --shape tells. */
MU_CHECKED mu_err pack_set_images(pack *p, const mu_type *own, const char *where);
/* Appends one sample of fixed shape. */
MU_CHECKED mu_err pack_append(pack *p, int64_t label, const void *image);

#endif

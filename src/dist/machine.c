#include "config.h"

#include "core/mem.h"
#include "dist/binding.h"

#ifdef HAVE_HWLOC
#include <hwloc.h>

static mu_err read_places(hwloc_topology_t topology, mu_machine *out)
{
    int n = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    if (n <= 0)
        return MU_OK;
    MU_TRY(mu_calloc(&out->place, (size_t)n, sizeof *out->place));
    for (int i = 0; i < n; i++) {
        hwloc_obj_t unit = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, (unsigned)i);
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, unit);
        int numa = unit->nodeset ? hwloc_bitmap_first(unit->nodeset) : 0;
        out->place[i] = (mu_place){.cpu = (int)unit->os_index,
                                   .core = core ? (int)core->logical_index : i,
                                   .numa = numa > 0 ? numa : 0};
    }
    out->n = n;
    return MU_OK;
}

mu_err mu_machine_read(mu_machine *out)
{
    hwloc_topology_t topology;
    mu_err err = MU_OK;
    *out = (mu_machine){0};
    if (hwloc_topology_init(&topology) != 0)
        return MU_OK;
    if (hwloc_topology_load(topology) == 0)
        err = read_places(topology, out);
    hwloc_topology_destroy(topology);
    MU_TRY(err);
    return MU_OK;
}

#else

mu_err mu_machine_read(mu_machine *out)
{
    *out = (mu_machine){0};
    return MU_OK;
}

#endif

void mu_machine_release(mu_machine *machine)
{
    mu_free(machine->place);
    *machine = (mu_machine){0};
}

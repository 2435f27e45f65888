#include "runner/hooks/hooks.h"

const char *const mu_default_hooks[][2] = {
    {"runtime_info", "RuntimeInfoHook"},
    {"timer", "IterTimerHook"},
    {"sampler_seed", "DistSamplerSeedHook"},
    {"logger", "LoggerHook"},
    {"param_scheduler", "ParamSchedulerHook"},
    {"checkpoint", "CheckpointHook"},
    {"straggler", "StragglerHook"},
    {NULL, NULL},
};

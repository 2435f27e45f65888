/* Devices, their state, and errors. */
#include "emulate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cudaError_t fault; /* of the device: stays */
static char fault_text[1100];
static _Thread_local cudaError_t last;
static _Thread_local int current;

long long emulate_setting(const char *name, long long none)
{
    const char *value = getenv(name);
    return value != NULL && *value != 0 ? atoll(value) : none;
}

static const char *wanted_error(void)
{
    const char *value = getenv("MUSTER_EMULATE_ERROR");
    return value != NULL ? value : "";
}

/* ---- errors ---- */

cudaError_t emulate_error(cudaError_t status)
{
    if (status != cudaSuccess)
        last = status;
    return status;
}

cudaError_t emulate_fault(cudaError_t status, const char *format, ...)
{
    if (fault == cudaSuccess) {
        char what[1024];
        va_list ap;
        va_start(ap, format);
        vsnprintf(what, sizeof what, format, ap);
        va_end(ap);
        snprintf(fault_text, sizeof fault_text, "%s (%s)", cudaGetErrorString(status), what);
        fault = status;
    }
    return emulate_error(status);
}

/* ---- which devices there are ---- */

enum { MOST_DEVICES = 64 };

static int n_physical(void)
{
    long long n = emulate_setting("MUSTER_EMULATE_DEVICES", 1);
    return n < 0 ? 0 : n < MOST_DEVICES ? (int)n : MOST_DEVICES;
}

static void uuid_of(int physical, unsigned char uuid[16])
{
    for (int i = 0; i < 16; i++)
        uuid[i] = (unsigned char)(i == 15 ? physical : 0x10 + i);
}

/* "GPU-1011..." as far as it goes; -1: no such device. */
static int find_by_uuid(const char *text, size_t length)
{
    for (int device = 0; device < n_physical(); device++) {
        unsigned char u[16];
        char name[48];
        uuid_of(device, u);
        snprintf(name, sizeof name, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
                 u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
        if (length > 4 && length <= strlen(name) && memcmp(name, text, length) == 0)
            return device;
    }
    return -1;
}

/* CUDA_VISIBLE_DEVICES: numbers or UUIDs, up to the first that is none; one that comes twice is an error: no device. */
static int visible(int physical[MOST_DEVICES])
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    int n = 0;
    if (text == NULL) {
        for (; n < n_physical(); n++)
            physical[n] = n;
        return n;
    }
    while (*text != 0 && n < MOST_DEVICES) {
        char *end;
        size_t length = strcspn(text, ",");
        long device = strtol(text, &end, 10);
        if (strncmp(text, "GPU-", 4) == 0)
            device = find_by_uuid(text, length);
        else if (end != text + length || length == 0)
            device = -1;
        if (device < 0 || device >= n_physical())
            break;
        for (int i = 0; i < n; i++)
            if (physical[i] == device)
                return 0;
        physical[n++] = (int)device;
        text += length + (text[length] == ',');
    }
    return n;
}

static int n_visible(void)
{
    int physical[MOST_DEVICES];
    return visible(physical);
}

static int physical_of(int device)
{
    int physical[MOST_DEVICES];
    return device < visible(physical) ? physical[device] : 0;
}

cudaError_t emulate_ready(void)
{
    if (strcmp(wanted_error(), "driver") == 0)
        return cudaErrorInsufficientDriver;
    if (n_visible() <= 0)
        return cudaErrorNoDevice;
    return fault;
}

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define X(name, value, text)                                                                       \
    case name: return #name;
        EMULATE_CUDA_ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    if (error != cudaSuccess && error == fault)
        return fault_text;
    switch (error) {
#define X(name, value, text)                                                                       \
    case name: return text;
        EMULATE_CUDA_ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t status = cudaPeekAtLastError();
    last = cudaSuccess;
    return status;
}

cudaError_t cudaPeekAtLastError(void)
{
    return fault != cudaSuccess ? fault : last;
}

/* ---- devices ---- */

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = strcmp(wanted_error(), "driver") == 0 ? 11080 : 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    cudaError_t ready = emulate_ready();
    if (ready == cudaErrorNoDevice || ready == cudaErrorInsufficientDriver)
        return emulate_error(ready);
    *count = n_visible();
    return cudaSuccess;
}

static cudaError_t device_check(int device)
{
    int n;
    cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaSuccess && (device < 0 || device >= n))
        status = cudaErrorInvalidDevice;
    return emulate_error(status);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t status = device_check(device);
    if (status == cudaSuccess)
        current = device;
    return status;
}

cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
    (void)flags;
    return emulate_error(emulate_ready());
}

cudaError_t cudaInitDevice(int device, unsigned int device_flags, unsigned int flags)
{
    (void)device_flags;
    (void)flags;
    return device_check(device);
}

cudaError_t cudaDeviceReset(void)
{
    cudaError_t status = emulate_finish();
    fault = cudaSuccess;
    last = cudaSuccess;
    return status;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    cudaError_t status = device_check(device);
    if (status != cudaSuccess)
        return status;
    size_t available;
    *prop = (struct cudaDeviceProp){
        .name = "Emulated H100",
        .sharedMemPerBlock = 48 << 10,
        .regsPerBlock = 65536,
        .warpSize = 32,
        .maxThreadsPerBlock = 1024,
        .maxThreadsDim = {1024, 1024, 64},
        .maxGridSize = {0x7fffffff, 65535, 65535},
        .major = 9,
        .multiProcessorCount = (int)emulate_setting("MUSTER_EMULATE_MULTIPROCESSORS", 132),
        .pciBusID = 0x3b + physical_of(device),
        .memoryBusWidth = 5120,
        .l2CacheSize = 50 << 20,
        .maxThreadsPerMultiProcessor = 2048,
        .memoryPoolsSupported = 1,
    };
    uuid_of(physical_of(device), (unsigned char *)prop->uuid.bytes);
    return cudaMemGetInfo(&available, &prop->totalGlobalMem);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    struct cudaDeviceProp prop;
    cudaError_t status = cudaGetDeviceProperties(&prop, device);
    if (status != cudaSuccess)
        return status;
    switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock: *value = prop.maxThreadsPerBlock; break;
    case cudaDevAttrMaxGridDimX: *value = prop.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = prop.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = prop.maxGridSize[2]; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)prop.sharedMemPerBlock; break;
    case cudaDevAttrWarpSize: *value = prop.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = prop.multiProcessorCount; break;
    case cudaDevAttrIntegrated: *value = prop.integrated; break;
    case cudaDevAttrL2CacheSize: *value = prop.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = prop.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = prop.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = prop.minor; break;
    case cudaDevAttrMemoryPoolsSupported: *value = prop.memoryPoolsSupported; break;
    default: return emulate_error(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int len, int device)
{
    cudaError_t status = device_check(device);
    if (status != cudaSuccess)
        return status;
    if (snprintf(id, (size_t)len, "0000:%02X:00.0", 0x3b + physical_of(device)) >= len)
        return emulate_error(cudaErrorInvalidValue);
    return cudaSuccess;
}

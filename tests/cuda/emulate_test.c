/* The emulated device: it computes what a device would, and finds what a device would forgive today and not tomorrow. */
#include "config.h"
#include "emulate_kernels.h"
#include "test.h"

#define ck_cuda(expr) ck_assert_msg((expr) == cudaSuccess, "%s: %s", #expr, cudaGetErrorString(cudaPeekAtLastError()))
#define ck_error(expr, code) ck_assert_str_eq(cudaGetErrorName(expr), #code)

enum { N = 10000 };

static float *device_floats(int n, float first, float step)
{
    float *host = malloc((size_t)n * sizeof *host), *device;
    for (int i = 0; i < n; i++)
        host[i] = first + step * (float)i;
    ck_cuda(cudaMalloc((void **)&device, (size_t)n * sizeof *host));
    ck_cuda(cudaMemcpy(device, host, (size_t)n * sizeof *host, cudaMemcpyHostToDevice));
    free(host);
    return device;
}

static float device_sum(const float *device, int n)
{
    float *host = malloc((size_t)n * sizeof *host), sum = 0;
    ck_cuda(cudaMemcpy(host, device, (size_t)n * sizeof *host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++)
        sum += host[i];
    free(host);
    return sum;
}

START_TEST(reductions)
{
    float *x = device_floats(N, 1, 1), *y = device_floats(8, 0, 0);
    ck_cuda(launch_sums(NULL, 8, 256, x, y, N));
    ck_assert_float_eq(device_sum(y, 8), N * (N + 1) / 2);
    ck_cuda(launch_sums(NULL, 1, 1024, x, y, 100));
    ck_assert_float_eq(device_sum(y, 1), 5050);
    ck_cuda(cudaFree(x));
    ck_cuda(cudaFree(y));
}
END_TEST

START_TEST(shuffling)
{
    int host[160], *y;
    ck_cuda(cudaMalloc((void **)&y, sizeof host));
    ck_cuda(launch_shuffles(NULL, y));
    ck_cuda(cudaMemcpy(host, y, sizeof host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 32; i++) {
        ck_assert_int_eq(host[i], 7);
        ck_assert_int_eq(host[32 + i], i ^ 5);
        ck_assert_int_eq(host[64 + i], i + 3 < 32 ? i + 3 : i);
        ck_assert_int_eq(host[96 + i], i >= 2 ? i - 2 : i);
        ck_assert_int_eq(host[128 + i], i ^ 1);
    }
    ck_cuda(launch_uneven(NULL, y));
    ck_cuda(cudaMemcpy(host, y, 128 * sizeof *host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 128; i++) {
        int warp = 3 - i / 32;
        ck_assert_int_eq(host[i], (warp + 1) * 496 + 32 * warp * (warp + 1) / 2);
    }
    ck_cuda(cudaFree(y));
}
END_TEST

START_TEST(grids)
{
    unsigned host[4] = {0}, *place;
    ck_cuda(cudaMalloc((void **)&place, sizeof host));
    ck_cuda(cudaMemset(place, 0, sizeof host));
    ck_cuda(launch_count(NULL, 5, 3, 2, 7, place, place + 1));
    ck_cuda(cudaMemcpy(host, place, sizeof host, cudaMemcpyDeviceToHost));
    ck_assert_uint_eq(host[0], 5 * 3 * 2 * 7);
    ck_assert_uint_eq(host[1], 4);
    ck_assert_uint_eq(host[2], 2);
    ck_assert_uint_eq(host[3], 1);
    ck_error(launch_count(NULL, 0, 1, 1, 7, place, place + 1), cudaErrorInvalidConfiguration);
    ck_error(launch_count(NULL, 1, 65536, 1, 7, place, place + 1), cudaErrorInvalidConfiguration);
    ck_error(launch_count(NULL, 1, 1, 1, 1025, place, place + 1), cudaErrorInvalidConfiguration);
    ck_error(cudaGetLastError(), cudaErrorInvalidConfiguration);
    ck_error(cudaGetLastError(), cudaSuccess);
    ck_cuda(cudaFree(place));
}
END_TEST

/* Nothing is done before someone waits for it; a copy to memory that is not pinned waits. */
START_TEST(late)
{
    float *x = device_floats(N, 0, 0), *pinned;
    cudaEvent_t half;
    cudaStream_t stream;
    ck_cuda(cudaMallocHost((void **)&pinned, sizeof *pinned));
    ck_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ck_cuda(cudaEventCreateWithFlags(&half, cudaEventDisableTiming));
    *pinned = -1;
    ck_cuda(launch_shift(stream, 4, 128, x, 1, N));
    ck_cuda(cudaMemcpyAsync(pinned, x, sizeof *pinned, cudaMemcpyDeviceToHost, stream));
    ck_assert_float_eq(*pinned, -1);
    ck_error(cudaStreamQuery(stream), cudaErrorNotReady);
    ck_cuda(cudaEventRecord(half, stream));
    ck_cuda(launch_shift(stream, 4, 128, x, 1, N));
    ck_cuda(cudaMemcpyAsync(pinned, x, sizeof *pinned, cudaMemcpyDeviceToHost, stream));
    ck_cuda(cudaEventSynchronize(half));
    ck_assert_float_eq(*pinned, 1);
    ck_cuda(cudaStreamSynchronize(stream));
    ck_assert_float_eq(*pinned, 2);
    ck_cuda(cudaStreamQuery(stream));
    ck_cuda(cudaEventDestroy(half));
    ck_cuda(cudaStreamDestroy(stream));
    ck_cuda(cudaFreeHost(pinned));
    ck_cuda(cudaFree(x));
}
END_TEST

START_TEST(graphs)
{
    float *x = device_floats(N, 0, 0), *y = device_floats(4, 0, 0);
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    ck_cuda(cudaStreamCreate(&stream));
    ck_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    ck_cuda(launch_shift(stream, 4, 128, x, 1, N));
    ck_cuda(launch_sums(stream, 4, 256, x, y, N));
    ck_cuda(cudaStreamEndCapture(stream, &graph));
    ck_cuda(cudaGraphInstantiate(&exec, graph, 0));
    ck_cuda(cudaGraphDestroy(graph));
    ck_assert_float_eq(device_sum(y, 4), 0);
    for (int i = 1; i <= 3; i++) {
        ck_cuda(cudaGraphLaunch(exec, stream));
        ck_cuda(cudaStreamSynchronize(stream));
        ck_assert_float_eq(device_sum(y, 4), (float)(i * N));
    }
    ck_cuda(cudaGraphExecDestroy(exec));
    ck_cuda(cudaStreamDestroy(stream));
    ck_cuda(cudaFree(x));
    ck_cuda(cudaFree(y));
}
END_TEST

/* What cannot be captured fails, and so does the capture. */
START_TEST(broken_captures)
{
    float *x = device_floats(N, 0, 0);
    cudaStream_t stream, other;
    cudaEvent_t event;
    cudaGraph_t graph;
    void *block;
    ck_cuda(cudaStreamCreate(&stream));
    ck_cuda(cudaStreamCreate(&other));
    ck_cuda(cudaEventCreate(&event));
    for (int how = 0; how < 7; how++) {
        ck_cuda(cudaEventRecord(event, other));
        ck_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        ck_cuda(launch_shift(stream, 4, 128, x, 1, N));
        switch (how) {
        case 0: ck_error(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported); break;
        case 1: ck_error(cudaMalloc(&block, 8), cudaErrorStreamCaptureUnsupported); break;
        case 2: ck_error(cudaFree(x), cudaErrorStreamCaptureUnsupported); break;
        case 3: ck_error(cudaEventQuery(event), cudaErrorStreamCaptureUnsupported); break;
        case 4: ck_error(cudaStreamWaitEvent(stream, event, 0), cudaErrorStreamCaptureIsolation); break;
        case 5: ck_error(launch_shift(NULL, 4, 128, x, 1, N), cudaErrorStreamCaptureImplicit); break;
        default:
            ck_cuda(cudaStreamBeginCapture(other, cudaStreamCaptureModeThreadLocal));
            ck_cuda(cudaEventRecord(event, stream));
            ck_error(cudaStreamWaitEvent(other, event, 0), cudaErrorStreamCaptureMerge);
            ck_error(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureInvalidated);
        }
        ck_error(launch_shift(stream, 4, 128, x, 1, N), cudaErrorStreamCaptureInvalidated);
        ck_error(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        ck_assert_ptr_null(graph);
    }
    ck_cuda(launch_shift(stream, 4, 128, x, 1, N));
    ck_cuda(cudaStreamSynchronize(stream));
    ck_assert_float_eq(device_sum(x, N), N); /* nothing that was captured has been done */
    ck_error(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnmatched);
    ck_error(cudaEventElapsedTime(&(float){0}, event, event), cudaErrorInvalidResourceHandle);
    ck_cuda(cudaEventDestroy(event));
    ck_cuda(cudaStreamDestroy(stream));
    ck_cuda(cudaStreamDestroy(other));
    ck_cuda(cudaFree(x));
}
END_TEST

/* Blocking streams take turns with the default one; others do not. */
START_TEST(default_stream)
{
    float *x = device_floats(N, 0, 0);
    cudaStream_t stream[2];
    ck_cuda(cudaStreamCreate(&stream[0]));
    ck_cuda(cudaStreamCreateWithFlags(&stream[1], cudaStreamNonBlocking));
    for (int free = 0; free < 2; free++) {
        int wrong = 0;
        for (int i = 0; i < 40; i++) {
            ck_cuda(cudaMemset(x, 0, N * sizeof *x));
            ck_cuda(launch_shift(stream[free], 4, 128, x, 1, N));
            ck_cuda(cudaDeviceSynchronize());
            wrong += device_sum(x, N) != N;
        }
        ck_assert_msg(free ? wrong > 0 : wrong == 0, "%s: %d of 40 are wrong", free ? "free" : "blocking", wrong);
    }
    for (int i = 0; i < 2; i++)
        ck_cuda(cudaStreamDestroy(stream[i]));
    ck_cuda(cudaFree(x));
}
END_TEST

static void check_fault(cudaError_t launched, const char *part)
{
    ck_assert_int_eq(launched, cudaSuccess);
    cudaError_t status = cudaDeviceSynchronize();
    ck_error(status, cudaErrorLaunchFailure);
    ck_assert_msg(strstr(cudaGetErrorString(status), part) != NULL, "\"%s\" lacks \"%s\"", cudaGetErrorString(status), part);
    ck_error(launch_half_barrier(NULL), cudaErrorLaunchFailure); /* the device stays lost */
    cudaDeviceReset();
}

/* A missing barrier shows in what is computed, as threads run in no order that helps. */
START_TEST(missing_barrier)
{
    float host[256], *x = device_floats(256, 1, 1), *y = device_floats(256, 0, 0);
    ck_cuda(launch_reverse(NULL, 256, true, x, y));
    ck_cuda(cudaMemcpy(host, y, sizeof host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 256; i++)
        ck_assert_float_eq(host[i], (float)(256 - i));
    ck_cuda(launch_shift(NULL, 1, 256, x, 1000, 256));
    ck_cuda(launch_reverse(NULL, 256, false, x, y));
#ifdef EMULATE_RACES
    check_fault(cudaSuccess, "shared memory at emulate_kernels.cu");
#else
    ck_cuda(cudaMemcpy(host, y, sizeof host, cudaMemcpyDeviceToHost));
    int wrong = 0;
    for (int i = 0; i < 256; i++)
        wrong += host[i] != (float)(1256 - i);
    ck_assert_int_gt(wrong, 0);
#endif
    ck_cuda(cudaFree(x));
    ck_cuda(cudaFree(y));
}
END_TEST

START_TEST(faults)
{
    float *x = device_floats(32, 0, 0);
    check_fault(launch_half_barrier(NULL), "32 of 64 threads (thread 0 the first) wait at the barrier");
    check_fault(launch_two_barriers(NULL), "32 wait elsewhere");
    check_fault(launch_ended_lane(NULL, x), "wait at the shuffle");
    check_fault(launch_outside_mask(NULL, x), "reads from lane 20");
    ck_cuda(launch_shift(NULL, 1, 32, x, 1, 32)); /* works again */
    ck_assert_float_eq(device_sum(x, 32), 32);
    ck_cuda(cudaFree(x));
}
END_TEST

START_TEST(memory)
{
    float *x = device_floats(100, 0, 0), here[100], *fresh;
    size_t before, after, total;
    ck_error(cudaMemcpy(here, here, sizeof here, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    ck_error(cudaMemcpy(x + 1, here, sizeof here, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    ck_error(cudaFree(here), cudaErrorInvalidDevicePointer);
    ck_error(cudaFreeHost(x), cudaErrorInvalidValue);
    ck_cuda(cudaMemGetInfo(&before, &total));
    ck_cuda(cudaMalloc((void **)&fresh, sizeof here));
    ck_cuda(cudaMemGetInfo(&after, &total));
    ck_assert_uint_eq(before - after, sizeof here);
    ck_cuda(cudaMemcpy(here, fresh, sizeof here, cudaMemcpyDeviceToHost));
    ck_assert(here[0] != here[0] && here[99] != here[99]);
    ck_error(cudaMalloc((void **)&fresh, total), cudaErrorMemoryAllocation);
#ifndef __SANITIZE_ADDRESS__ /* it would end the test */
    ck_cuda(launch_beyond(NULL, x, 100));
    ck_error(cudaFree(x), cudaErrorIllegalAddress);
    cudaDeviceReset();
#endif
}
END_TEST

START_TEST(settings)
{
    int n, version;
    size_t available, total;
    void *block;
    setenv("MUSTER_EMULATE_DEVICES", "3", 1);
    ck_cuda(cudaGetDeviceCount(&n));
    ck_assert_int_eq(n, 3);
    ck_cuda(cudaSetDevice(2));
    ck_error(cudaSetDevice(3), cudaErrorInvalidDevice);
    setenv("MUSTER_EMULATE_DEVICES", "0", 1);
    ck_error(cudaGetDeviceCount(&n), cudaErrorNoDevice);
    ck_assert_int_eq(n, 0);
    setenv("MUSTER_EMULATE_DEVICES", "1", 1);
    setenv("MUSTER_EMULATE_MEMORY", "1000000", 1);
    ck_cuda(cudaMemGetInfo(&available, &total));
    ck_assert_uint_eq(total, 1000000);
    ck_error(cudaMalloc(&block, 1000001), cudaErrorMemoryAllocation);
    setenv("MUSTER_EMULATE_ERROR", "driver", 1);
    ck_error(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    ck_cuda(cudaDriverGetVersion(&version));
    ck_assert_int_lt(version, CUDART_VERSION);
    setenv("MUSTER_EMULATE_ERROR", "lost", 1);
    ck_cuda(cudaGetDeviceCount(&n));
    ck_error(launch_half_barrier(NULL), cudaErrorECCUncorrectable);
    ck_error(cudaDeviceSynchronize(), cudaErrorECCUncorrectable);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emulate");
    TCase *tests = tcase_create("emulate");
    tcase_add_test(tests, reductions);
    tcase_add_test(tests, shuffling);
    tcase_add_test(tests, grids);
    tcase_add_test(tests, late);
    tcase_add_test(tests, graphs);
    tcase_add_test(tests, broken_captures);
    tcase_add_test(tests, default_stream);
    tcase_add_test(tests, missing_barrier);
    tcase_add_test(tests, faults);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, settings);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}

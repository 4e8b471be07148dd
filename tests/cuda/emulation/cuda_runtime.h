// As much of CUDA as aster/c_ops/src/*.cu use, on a CPU: blocks run one after the other, a block's threads take
// turns between one __syncthreads() and the next. It shows whether kernels compute the right thing where there is
// no GPU; it knows nothing of races between threads within a turn, or of speed.
#ifndef ASTER_TESTS_CUDA_EMULATION_H_
#define ASTER_TESTS_CUDA_EMULATION_H_

#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static

typedef int cudaError_t;
typedef struct CUstream_st* cudaStream_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };

struct Index { unsigned x; };
static Index threadIdx, blockIdx, gridDim;

template <typename T>
T atomicAdd(T* to, T value) { const T old = *to; *to += value; return old; }

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }

enum { cudaErrorInvalidValue = 1 };
inline cudaError_t cudaGetLastError() { return 0; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }
inline cudaError_t cudaMalloc(void** pointer, size_t size) { *pointer = malloc(size); return 0; }
inline cudaError_t cudaFree(void* pointer) { free(pointer); return 0; }
inline cudaError_t cudaDeviceSynchronize() { return 0; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return 0; }
inline cudaError_t cudaMemset(void* to, int value, size_t size) { memset(to, value, size); return 0; }
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t) { return cudaMemset(to, value, size); }
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
  memcpy(to, from, size);
  return 0;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, size, kind);
}

namespace emulation {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  bool ended;
};
static ucontext_t scheduler;
static Fiber* running;
static std::function<void()> kernel;

inline void Enter() {
  kernel();
  running->ended = true;
  swapcontext(&running->context, &scheduler);
}

inline void RunBlock(unsigned num_threads) {
  static std::vector<Fiber> fibers(num_threads);  // their stacks serve all blocks
  fibers.resize(num_threads);
  for (Fiber& fiber : fibers) {
    fiber.ended = false;
    fiber.stack.resize(1 << 16);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, Enter, 0);
  }
  for (size_t left = num_threads; left > 0;) {
    size_t ended = 0;
    for (unsigned thread = 0; thread < num_threads; ++thread) {
      running = &fibers[thread];
      threadIdx.x = thread;
      swapcontext(&scheduler, &running->context);
      ended += running->ended;
    }
    if (ended != 0 && ended != left) abort();  // some threads wait for others that will not come
    left -= ended;
  }
}

inline void Launch(unsigned blocks, unsigned num_threads, const std::function<void()>& body) {
  kernel = body;
  gridDim.x = blocks;
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) RunBlock(num_threads);
}

}  // namespace emulation

inline void __syncthreads() { swapcontext(&emulation::running->context, &emulation::scheduler); }

#define ASTER_LAUNCH(kernel, blocks, stream, ...) \
  emulation::Launch((blocks), kThreads, [=] { kernel(__VA_ARGS__); })

#endif  // ASTER_TESTS_CUDA_EMULATION_H_

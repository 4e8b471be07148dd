// What one block of threads does together in the kernels of attention. Reductions go through shared memory
// and not through warps' shuffles, whose names changed between CUDA 8 and 9.
#ifndef ASTER_C_OPS_BLOCK_CUH_
#define ASTER_C_OPS_BLOCK_CUH_

#include <cuda_runtime.h>

#include <cfloat>

#include "gpu.h"

namespace aster {
namespace gpu {

const int kThreads = 256;
const int kLanes = 32;                   // threads that share one key
const int kGroups = kThreads / kLanes;

// How a kernel starts; the emulation in tests/cuda/ has one of its own.
#ifndef ASTER_LAUNCH
#define ASTER_LAUNCH(kernel, blocks, stream, ...) kernel<<<(blocks), kThreads, 0, (stream)>>>(__VA_ARGS__)
#endif

__device__ inline int Thread() { return static_cast<int>(threadIdx.x); }

__device__ inline float Exp(float x) { return expf(x); }
__device__ inline double Exp(double x) { return exp(x); }
__device__ inline float Log(float x) { return logf(x); }
__device__ inline double Log(double x) { return log(x); }
__device__ inline float Tanh(float x) { return tanhf(x); }
__device__ inline double Tanh(double x) { return tanh(x); }
template <typename T>
__device__ T Sigmoid(T x) { return T(1) / (T(1) + Exp(-x)); }

__device__ inline float Lowest(float) { return -FLT_MAX; }
__device__ inline double Lowest(double) { return -DBL_MAX; }

// Four values that are loaded at once. They must lie at a multiple of their size.
template <typename T>
struct alignas(4 * sizeof(T)) Four { T of[4]; };

struct Larger {
  template <typename T>
  __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};
struct Plus {
  template <typename T>
  __device__ T operator()(T a, T b) const { return a + b; }
};

// Room for the reductions of a block: the lanes' parts of kRowsAtOnce sums. One more for each row, so that the threads of
// a warp that add up different rows read different banks.
const int kRowsAtOnce = 32;
template <typename T>
struct Sums { T of[kRowsAtOnce][kLanes + 1]; };

// For each of `count` rows of `size`: of(load(row, i), i) summed over i -> out[row]. All loads come before the
// arithmetic, since a GPU waits for the first result that is used; more than four at once would need so many registers
// that fewer blocks run side by side. Ends in step.
template <typename T, typename Of>
__device__ void SumRows(int count, int size, Of of, T* out, Sums<T>* sums) {
  const int kAtOnce = 4, lane = Thread() % kLanes;
  for (int first = 0; first < count; first += kRowsAtOnce) {
    const int last = first + kRowsAtOnce < count ? first + kRowsAtOnce : count;
    for (int row = first + Thread() / kLanes; row < last; row += kGroups) {
      T sum = 0;
      for (int begin = lane; begin < size; begin += kAtOnce * kLanes) {
        T loaded[kAtOnce];
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k)
          loaded[k] = begin + k * kLanes < size ? of.Load(row, begin + k * kLanes) : T(0);
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k)
          if (begin + k * kLanes < size) sum += of(loaded[k], begin + k * kLanes);
      }
      sums->of[row - first][lane] = sum;
    }
    __syncthreads();
    for (int row = first + Thread(); row < last; row += kThreads) {
      T total = 0;
#pragma unroll
      for (int i = 0; i < kLanes; ++i) total += sums->of[row - first][i];
      out[row] = total;
    }
    __syncthreads();
  }
}

template <typename T>
struct Score {
  const T *keys, *query, *v;
  int units;
  __device__ T Load(int row, int i) const { return keys[static_cast<int64_t>(row) * units + i]; }
  __device__ T operator()(T key, int i) const { return v[i] * Tanh(key + query[i]); }
};

// aster::AddGlimpse: attends over the memories of one sample and adds the glimpse to its gates [4U]. Ends in step.
template <typename T>
__device__ void AddGlimpse(const AttentionShape& shape, const T* keys, const T* values, const T* v, const T* queries,
                           T* alignments, T* gates, Sums<T>* sums) {
  const int units = shape.attention_units, num_gates = 4 * shape.units;
  T* own = alignments;
  for (int memory = 0; memory < shape.num_memories; ++memory) {
    const int length = shape.lengths[memory];
    const Score<T> score = {keys, queries, v, units};
    SumRows(length, units, score, own, sums);
    // Each thread goes through all scores: they are few, and to share the work would take many __syncthreads.
    T highest = Lowest(T()), sum = 0;
#pragma unroll 8
    for (int j = 0; j < length; ++j) highest = Larger()(highest, own[j]);
#pragma unroll 8
    for (int j = 0; j < length; ++j) sum += Exp(own[j] - highest);
    __syncthreads();
    for (int j = Thread(); j < length; j += kThreads) own[j] = Exp(own[j] - highest) / sum;
    __syncthreads();
    keys += static_cast<int64_t>(length) * units;
    own += length;
    queries += units;
    v += units;
  }
  for (int n = 4 * Thread(); n < num_gates; n += 4 * kThreads) {
    Four<T> sum = {};
#pragma unroll 8
    for (int j = 0; j < shape.num_values; ++j) {
      const Four<T> value = *reinterpret_cast<const Four<T>*>(values + static_cast<int64_t>(j) * num_gates + n);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum.of[i] += alignments[j] * value.of[i];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) gates[n + i] += sum.of[i];
  }
  __syncthreads();
}

// aster::LstmCell for unit n, its gates [4U] being `gates`.
template <typename T>
__device__ void LstmCell(int n, int units, T forget_bias, T last_c, T* gates, T* c, T* h) {
  const T i = gates[n] = Sigmoid(gates[n]);
  const T j = gates[units + n] = Tanh(gates[units + n]);
  const T f = gates[2 * units + n] = Sigmoid(gates[2 * units + n] + forget_bias);
  const T o = gates[3 * units + n] = Sigmoid(gates[3 * units + n]);
  c[n] = f * last_c + i * j;
  h[n] = o * Tanh(c[n]);
}

}  // namespace gpu
}  // namespace aster

#endif  // ASTER_C_OPS_BLOCK_CUH_

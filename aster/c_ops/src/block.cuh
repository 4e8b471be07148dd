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

struct Larger {
  template <typename T>
  __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};
struct Plus {
  template <typename T>
  __device__ T operator()(T a, T b) const { return a + b; }
};

// Combines the values of all threads; `shared` has room for kThreads.
template <typename T, typename Combine>
__device__ T Reduce(T value, Combine combine, T* shared) {
  __syncthreads();
  shared[Thread()] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (Thread() < half) shared[Thread()] = combine(shared[Thread()], shared[Thread() + half]);
  }
  __syncthreads();
  return shared[0];
}

// rows [num_rows, size] times matrix [size, width] -> out [num_rows, width]. A value of the matrix is read once
// for four rows. Ends in step.
template <typename T>
__device__ void Multiply(const T* rows, int num_rows, const T* __restrict__ matrix, int size, int width, T* out) {
  const int kRows = 4;
  for (int first = 0; first < num_rows; first += kRows) {
    const T* row[kRows];
    for (int r = 0; r < kRows; ++r) row[r] = rows + (first + r < num_rows ? first + r : first) * size;
    for (int n = Thread(); n < width; n += kThreads) {
      T sums[kRows] = {};
      if (first + 1 == num_rows) {
#pragma unroll 8
        for (int i = 0; i < size; ++i) sums[0] += row[0][i] * matrix[static_cast<int64_t>(i) * width + n];
      } else {
#pragma unroll 8
        for (int i = 0; i < size; ++i) {
          const T weight = matrix[static_cast<int64_t>(i) * width + n];
          for (int r = 0; r < kRows; ++r) sums[r] += row[r][i] * weight;
        }
      }
      for (int r = 0; r < kRows && first + r < num_rows; ++r) out[(first + r) * width + n] = sums[r];
    }
  }
  __syncthreads();
}

// For each of `count` rows of `size`: of(row, i) summed over i -> out[row]. Ends in step.
template <typename T, typename Of>
__device__ void SumRows(int count, int size, Of of, T* out, T* shared) {
  for (int first = 0; first < count; first += kGroups) {
    const int row = first + Thread() / kLanes;
    T sum = 0;
    if (row < count)
      for (int i = Thread() % kLanes; i < size; i += kLanes) sum += of(row, i);
    shared[Thread()] = sum;
    __syncthreads();
    if (Thread() < kGroups && first + Thread() < count) {
      T total = 0;
      for (int lane = 0; lane < kLanes; ++lane) total += shared[Thread() * kLanes + lane];
      out[first + Thread()] = total;
    }
    __syncthreads();
  }
}

template <typename T>
struct Score {
  const T *keys, *query, *v;
  int units;
  __device__ T operator()(int row, int i) const {
    return v[i] * Tanh(keys[static_cast<int64_t>(row) * units + i] + query[i]);
  }
};

// aster::AddGlimpse: attends over the memories of one sample and adds the glimpse to its gates [4U]. Ends in step.
template <typename T>
__device__ void AddGlimpse(const AttentionShape& shape, const T* keys, const T* values, const T* v, const T* queries,
                           T* alignments, T* gates, T* shared) {
  const int units = shape.attention_units, num_gates = 4 * shape.units;
  T* own = alignments;
  for (int memory = 0; memory < shape.num_memories; ++memory) {
    const int length = shape.lengths[memory];
    const Score<T> score = {keys, queries, v, units};
    SumRows(length, units, score, own, shared);
    T highest = Lowest(T());
    for (int j = Thread(); j < length; j += kThreads) highest = Larger()(highest, own[j]);
    highest = Reduce(highest, Larger(), shared);
    T sum = 0;
    for (int j = Thread(); j < length; j += kThreads) sum += own[j] = Exp(own[j] - highest);
    sum = Reduce(sum, Plus(), shared);
    for (int j = Thread(); j < length; j += kThreads) own[j] /= sum;
    __syncthreads();
    keys += static_cast<int64_t>(length) * units;
    own += length;
    queries += units;
    v += units;
  }
  for (int n = Thread(); n < num_gates; n += kThreads) {
    T sum = gates[n];
    for (int j = 0; j < shape.num_values; ++j) sum += alignments[j] * values[static_cast<int64_t>(j) * num_gates + n];
    gates[n] = sum;
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

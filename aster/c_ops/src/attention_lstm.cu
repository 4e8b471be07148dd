// The LSTM with attention and its gradient on a GPU: one block of threads takes one sample through all steps, so
// that nothing is started per step; the state's kernel stays in the GPU's L2 cache.
#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

// aster::Sizes::row.
__device__ int64_t Row(const AttentionShape& shape, int64_t sample, int step) {
  return sample * shape.steps + (shape.reverse ? shape.steps - 1 - step : step);
}

template <typename T>
__global__ void AttentionLstmKernel(AttentionShape shape, const T* inputs, const T* state_kernel, const T* keys,
                                    const T* values, const T* v, T* h, T* c, T* gates, T* queries, T* alignments) {
  __shared__ T shared[kThreads];
  const int units = shape.units, num_gates = 4 * units, num_queries = shape.num_memories * shape.attention_units;
  const int num_values = shape.num_values;
  const int64_t sample = blockIdx.x;
  keys += sample * num_values * shape.attention_units;
  values += sample * num_values * num_gates;
  for (int t = 0; t < shape.steps; ++t) {
    const int64_t row = Row(shape, sample, t), last = Row(shape, sample, t - 1);
    T *sums = gates + row * num_gates, *query = queries + row * num_queries;
    const T* input = inputs + row * num_gates;
    for (int n = Thread(); n < num_gates + num_queries; n += kThreads) {
      T sum = 0;
      if (t > 0) {
        const T* state = h + last * units;
#pragma unroll 8
        for (int i = 0; i < units; ++i)
          sum += state[i] * state_kernel[static_cast<int64_t>(i) * (num_gates + num_queries) + n];
      }
      if (n < num_gates) sums[n] = input[n] + sum;
      else query[n - num_gates] = sum;
    }
    __syncthreads();
    T* alignment = alignments + row * num_values;
    if (t > 0 || shape.attend_first) {
      AddGlimpse(shape, keys, values, v, query, alignment, sums, shared);
    } else {
      for (int j = Thread(); j < num_values; j += kThreads) alignment[j] = 0;
    }
    for (int n = Thread(); n < units; n += kThreads)
      LstmCell<T>(n, units, shape.forget_bias, t > 0 ? c[last * units + n] : T(0), sums, c + row * units,
                  h + row * units);
    __syncthreads();
  }
}

template <typename T>
struct ValueGradient {
  const T *values, *d_gates;
  int num_gates;
  __device__ T operator()(int row, int n) const {
    return values[static_cast<int64_t>(row) * num_gates + n] * d_gates[n];
  }
};

// Gradients through the alignments of one step: adds to d_keys and d_v, writes d_queries.
template <typename T>
__device__ void GlimpseGradient(const AttentionShape& shape, const T* keys, const T* values, const T* v,
                                const T* queries, const T* alignments, const T* d_gates, T* d_alignments, T* d_keys,
                                T* d_queries, T* d_v, T* shared) {
  const int units = shape.attention_units;
  const ValueGradient<T> value_gradient = {values, d_gates, 4 * shape.units};
  SumRows(shape.num_values, 4 * shape.units, value_gradient, d_alignments, shared);
  for (int memory = 0; memory < shape.num_memories; ++memory) {
    const int length = shape.lengths[memory];
    T mean = 0;
    for (int j = Thread(); j < length; j += kThreads) mean += alignments[j] * d_alignments[j];
    mean = Reduce(mean, Plus(), shared);
    for (int i = Thread(); i < units; i += kThreads) {
      T d_query = 0, d_weight = 0;
      for (int j = 0; j < length; ++j) {
        const int64_t at = static_cast<int64_t>(j) * units + i;
        const T a = Tanh(keys[at] + queries[i]), d_score = alignments[j] * (d_alignments[j] - mean);
        const T d = v[i] * (1 - a * a) * d_score;
        d_keys[at] += d;
        d_query += d;
        d_weight += a * d_score;
      }
      d_queries[i] = d_query;
      d_v[i] += d_weight;
    }
    keys += static_cast<int64_t>(length) * units;
    d_keys += static_cast<int64_t>(length) * units;
    alignments += length;
    d_alignments += length;
    queries += units;
    d_queries += units;
    v += units;
    d_v += units;
  }
  __syncthreads();
}

// `scratch` has for each sample U values for the gradient of h, U for that of c, and T for those of the alignments.
template <typename T>
__global__ void AttentionLstmGradientKernel(AttentionShape shape, const T* transposed, const T* keys, const T* values,
                                            const T* v, const T* c, const T* gates, const T* queries,
                                            const T* alignments, const T* d_h, T* d_projection, T* d_keys, T* d_v,
                                            T* scratch) {
  __shared__ T shared[kThreads];
  const int units = shape.units, num_gates = 4 * units, num_queries = shape.num_memories * shape.attention_units;
  const int width = num_gates + num_queries, num_values = shape.num_values;
  const int64_t sample = blockIdx.x, num_keys = static_cast<int64_t>(num_values) * shape.attention_units;
  keys += sample * num_keys;
  d_keys += sample * num_keys;
  values += sample * num_values * num_gates;
  d_v += sample * num_queries;
  T* d_h_of_later = scratch + sample * (2 * units + num_values);
  T *d_c = d_h_of_later + units, *d_alignments = d_c + units;
  for (int64_t i = Thread(); i < num_keys; i += kThreads) d_keys[i] = 0;
  for (int i = Thread(); i < num_queries; i += kThreads) d_v[i] = 0;
  for (int i = Thread(); i < 2 * units; i += kThreads) d_h_of_later[i] = 0;
  __syncthreads();
  for (int t = shape.steps - 1; t >= 0; --t) {
    const int64_t row = Row(shape, sample, t), last = Row(shape, sample, t - 1);
    T* out = d_projection + row * width;
    const T* gate = gates + row * num_gates;
    for (int n = Thread(); n < units; n += kThreads) {
      const T i = gate[n], j = gate[units + n], f = gate[2 * units + n], o = gate[3 * units + n];
      const T d_output = d_h[row * units + n] + d_h_of_later[n];
      const T tanh_c = Tanh(c[row * units + n]);
      const T d_cell = d_c[n] + d_output * o * (1 - tanh_c * tanh_c);
      out[n] = d_cell * j * i * (1 - i);
      out[units + n] = d_cell * i * (1 - j * j);
      out[2 * units + n] = d_cell * (t > 0 ? c[last * units + n] : T(0)) * f * (1 - f);
      out[3 * units + n] = d_output * tanh_c * o * (1 - o);
      d_c[n] = d_cell * f;
    }
    __syncthreads();
    if (t > 0 || shape.attend_first) {
      GlimpseGradient(shape, keys, values, v, queries + row * num_queries, alignments + row * num_values, out,
                      d_alignments, d_keys, out + num_gates, d_v, shared);
    } else {
      for (int i = Thread(); i < num_queries; i += kThreads) out[num_gates + i] = 0;
      __syncthreads();
    }
    Multiply(out, 1, transposed, width, units, d_h_of_later);
  }
}

template <typename T>
__global__ void TransposeKernel(const T* matrix, int rows, int columns, T* transposed) {
  const int64_t count = static_cast<int64_t>(rows) * columns;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + Thread(); i < count;
       i += static_cast<int64_t>(gridDim.x) * kThreads)
    transposed[i % columns * rows + i / columns] = matrix[i];
}

}  // namespace

template <typename T>
int AttentionLstm(Stream stream, const AttentionShape& shape, const T* inputs, const T* state_kernel, const T* keys,
                  const T* values, const T* v, T* h, T* c, T* gates, T* queries, T* alignments) {
  if (shape.batch == 0) return 0;
  ASTER_LAUNCH(AttentionLstmKernel, shape.batch, stream, shape, inputs, state_kernel, keys, values, v, h, c, gates,
               queries, alignments);
  return cudaGetLastError();
}

size_t AttentionLstmGradientScratch(const AttentionShape& shape) {
  return static_cast<size_t>(shape.batch) * (2 * shape.units + shape.num_values);
}

template <typename T>
int AttentionLstmGradient(Stream stream, const AttentionShape& shape, const T* state_kernel, const T* keys,
                          const T* values, const T* v, const T* c, const T* gates, const T* queries,
                          const T* alignments, const T* d_h, T* d_projection, T* d_keys, T* d_v, T* transposed,
                          T* scratch) {
  if (shape.batch == 0) return 0;
  const int width = 4 * shape.units + shape.num_memories * shape.attention_units;
  const int64_t blocks = (static_cast<int64_t>(shape.units) * width + kThreads - 1) / kThreads;
  ASTER_LAUNCH(TransposeKernel, static_cast<unsigned>(blocks < 65535 ? blocks : 65535), stream, state_kernel,
               shape.units, width, transposed);
  ASTER_LAUNCH(AttentionLstmGradientKernel, shape.batch, stream, shape, static_cast<const T*>(transposed), keys,
               values, v, c, gates, queries, alignments, d_h, d_projection, d_keys, d_v, scratch);
  return cudaGetLastError();
}

#define INSTANTIATE(T)                                                                                              \
  template int AttentionLstm(Stream, const AttentionShape&, const T*, const T*, const T*, const T*, const T*, T*,   \
                             T*, T*, T*, T*);                                                                       \
  template int AttentionLstmGradient(Stream, const AttentionShape&, const T*, const T*, const T*, const T*,         \
                                     const T*, const T*, const T*, const T*, const T*, T*, T*, T*, T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace gpu
}  // namespace aster

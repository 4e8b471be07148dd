// The LSTM with attention and its gradient on a GPU. A step is a product of all samples' states with the state's kernel,
// in tiles, and then, with attention, one block for each sample.
#include "product.cuh"

namespace aster {
namespace gpu {
namespace {

// aster::Sizes::row.
__host__ __device__ int64_t Row(const AttentionShape& shape, int64_t sample, int step) {
  return sample * shape.steps + (shape.reverse ? shape.steps - 1 - step : step);
}

__host__ __device__ int Width(const AttentionShape& shape) {
  return 4 * shape.units + shape.num_memories * shape.attention_units;
}

// What the steps of one launch have in common.
template <typename T>
struct Step {
  AttentionShape shape;
  int t;
  const T *inputs, *keys, *values, *v;
  T *h, *c, *gates, *queries, *alignments;

  __device__ void Cell(int64_t sample, int n, T* sums) const {
    const int64_t row = Row(shape, sample, t) * shape.units;
    LstmCell<T>(n, shape.units, shape.forget_bias, t > 0 ? c[Row(shape, sample, t - 1) * shape.units + n] : T(0),
                sums, c + row, h + row);
  }
};

template <typename OneTask, typename T, typename OneStep>
OneTask MakeTask(const T* from, int64_t row_stride, const T* matrix, int size, int stride, const OneStep& step) {
  OneTask task;
  task.rows = step.shape.batch;
  task.row_stride = row_stride;
  task.from = from;
  task.matrix = matrix;
  task.size = size;
  task.stride = stride;
  task.step = step;
  return task;
}

// The gates and queries of a step with attention, before the glimpse.
template <typename T>
struct Projection : Task<T> {
  Step<T> step;

  template <int kTileRows, int kCount>
  __device__ void Finish(int64_t first, int tile, const T (*sums)[kCount]) const {
    const int num_gates = 4 * step.shape.units, num_queries = this->stride - num_gates;
    for (int at = Thread(); at < kTileRows * kCount; at += kThreads) {
      const int64_t sample = first + at / kCount;
      const int n = this->template Column<kCount>(tile, at % kCount);
      if (sample >= this->rows || n < 0) continue;
      const int64_t row = Row(step.shape, sample, step.t);
      const T sum = sums[at / kCount][at % kCount];
      if (n < num_gates) step.gates[row * num_gates + n] = step.inputs[row * num_gates + n] + sum;
      else step.queries[row * num_queries + n - num_gates] = sum;
    }
  }
};

// A step without attention. A tile has the four gates of some units, so that it can end with their cells.
template <typename T>
struct Cells : Task<T> {
  Step<T> step;

  template <int kCount>
  __host__ __device__ int Tiles() const { return (step.shape.units + kCount / 4 - 1) / (kCount / 4); }
  template <int kCount>
  __device__ int Column(int tile, int c) const {
    const int unit = tile * (kCount / 4) + c % (kCount / 4);
    return unit < step.shape.units ? c / (kCount / 4) * step.shape.units + unit : -1;
  }
  template <int kTileRows, int kCount>
  __device__ void Finish(int64_t first, int tile, const T (*sums)[kCount]) const {
    const int kUnits = kCount / 4, units = step.shape.units;
    for (int at = Thread(); at < kTileRows * kUnits; at += kThreads) {
      const int64_t sample = first + at / kUnits;
      const int unit = tile * kUnits + at % kUnits;
      if (sample >= this->rows || unit >= units) continue;
      const int64_t row = Row(step.shape, sample, step.t) * 4 * units;
      for (int gate = 0; gate < 4; ++gate)
        step.gates[row + gate * units + unit] =
            step.inputs[row + gate * units + unit] + sums[at / kUnits][gate * kUnits + at % kUnits];
      step.Cell(sample, unit, step.gates + row);
    }
  }
};

// The glimpse of a step, and then its cells: one block for each sample.
template <typename T>
__global__ void AttendKernel(Step<T> step) {
  __shared__ Sums<T> shared;
  const AttentionShape& shape = step.shape;
  const int units = shape.units, num_gates = 4 * units, num_values = shape.num_values;
  const int64_t sample = blockIdx.x, row = Row(shape, sample, step.t);
  T *sums = step.gates + row * num_gates, *alignment = step.alignments + row * num_values;
  if (step.t > 0 || shape.attend_first) {
    AddGlimpse(shape, step.keys + sample * num_values * shape.attention_units,
               step.values + sample * num_values * num_gates, step.v,
               step.queries + row * shape.num_memories * shape.attention_units, alignment, sums, &shared);
  } else {
    for (int j = Thread(); j < num_values; j += kThreads) alignment[j] = 0;
  }
  for (int n = Thread(); n < units; n += kThreads) step.Cell(sample, n, sums);
}

template <typename T>
struct ValueGradient {
  const T *values, *d_gates;
  int num_gates;
  __device__ T Load(int row, int n) const { return values[static_cast<int64_t>(row) * num_gates + n]; }
  __device__ T operator()(T value, int n) const { return value * d_gates[n]; }
};

// Gradients through the alignments of one step: adds to d_keys and d_v, writes d_queries.
template <typename T>
__device__ void GlimpseGradient(const AttentionShape& shape, const T* keys, const T* values, const T* v,
                                const T* queries, const T* alignments, const T* d_gates, T* d_alignments, T* d_keys,
                                T* d_queries, T* d_v, Sums<T>* sums) {
  const int units = shape.attention_units;
  const ValueGradient<T> value_gradient = {values, d_gates, 4 * shape.units};
  SumRows(shape.num_values, 4 * shape.units, value_gradient, d_alignments, sums);
  for (int memory = 0; memory < shape.num_memories; ++memory) {
    const int length = shape.lengths[memory];
    T mean = 0;  // each thread computes it: see AddGlimpse
#pragma unroll 8
    for (int j = 0; j < length; ++j) mean += alignments[j] * d_alignments[j];
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

// What the steps of the gradient have in common. `scratch` has for each sample: the gradient of h by the later step, in
// kParts parts that are added, the gradient of c, and those of the alignments.
template <typename T>
struct StepBack {
  static const int kParts = 4;
  AttentionShape shape;
  int t;
  const T *keys, *values, *v, *c, *gates, *queries, *alignments, *d_h;
  T *d_projection, *d_keys, *d_v, *scratch;

  __host__ __device__ static int64_t Scratch(const AttentionShape& shape) {
    return static_cast<int64_t>(kParts + 1) * shape.units + shape.num_values;
  }
};

template <typename T>
__global__ void StepBackKernel(StepBack<T> step) {
  __shared__ Sums<T> shared;
  const AttentionShape& shape = step.shape;
  const int units = shape.units, num_gates = 4 * units, num_queries = shape.num_memories * shape.attention_units;
  const int num_values = shape.num_values, t = step.t;
  const bool is_first = t == shape.steps - 1;
  const int64_t sample = blockIdx.x, num_keys = static_cast<int64_t>(num_values) * shape.attention_units;
  const int64_t row = Row(shape, sample, t), last = Row(shape, sample, t - 1);
  T* d_keys = step.d_keys + sample * num_keys;
  T* d_v = step.d_v + sample * num_queries;
  T* scratch = step.scratch + sample * StepBack<T>::Scratch(shape);
  T *d_c = scratch + StepBack<T>::kParts * units, *d_alignments = d_c + units;
  T* out = step.d_projection + row * (num_gates + num_queries);
  const T* gate = step.gates + row * num_gates;
  if (is_first) {
    for (int64_t i = Thread(); i < num_keys; i += kThreads) d_keys[i] = 0;
    for (int i = Thread(); i < num_queries; i += kThreads) d_v[i] = 0;
  }
  for (int n = Thread(); n < units; n += kThreads) {
    const T i = gate[n], j = gate[units + n], f = gate[2 * units + n], o = gate[3 * units + n];
    T d_output = step.d_h[row * units + n];
    for (int part = 0; part < StepBack<T>::kParts && !is_first; ++part) d_output += scratch[part * units + n];
    const T tanh_c = Tanh(step.c[row * units + n]);
    const T d_cell = (is_first ? T(0) : d_c[n]) + d_output * o * (1 - tanh_c * tanh_c);
    out[n] = d_cell * j * i * (1 - i);
    out[units + n] = d_cell * i * (1 - j * j);
    out[2 * units + n] = d_cell * (t > 0 ? step.c[last * units + n] : T(0)) * f * (1 - f);
    out[3 * units + n] = d_output * tanh_c * o * (1 - o);
    d_c[n] = d_cell * f;
  }
  __syncthreads();
  if (t > 0 || shape.attend_first) {
    GlimpseGradient(shape, step.keys + sample * num_keys, step.values + sample * num_values * num_gates, step.v,
                    step.queries + row * num_queries, step.alignments + row * num_values, out, d_alignments, d_keys,
                    out + num_gates, d_v, &shared);
  } else {
    for (int i = Thread(); i < num_queries; i += kThreads) out[num_gates + i] = 0;
  }
}

// The gradient of the last state: that of the projection [B, 4U + N A] times the transposed kernel [4U + N A, U]. It has
// few columns, and a GPU needs many blocks. So a tile takes only a part of the length, and the parts are added later.
template <typename T>
struct ProductBack : Task<T> {
  StepBack<T> step;

  template <int kCount>
  __host__ __device__ int Tiles() const { return StepBack<T>::kParts * Task<T>::template Tiles<kCount>(); }
  template <int kCount>
  __device__ int Part(int tile) const { return tile / Task<T>::template Tiles<kCount>(); }
  template <int kCount>
  __device__ int Column(int tile, int c) const {
    return Task<T>::template Column<kCount>(tile % Task<T>::template Tiles<kCount>(), c);
  }
  template <int kCount>
  __device__ int Begin(int tile) const { return PartBegin(Part<kCount>(tile)); }
  template <int kCount>
  __device__ int End(int tile) const { return PartBegin(Part<kCount>(tile) + 1); }
  __device__ int PartBegin(int part) const {
    return static_cast<int>(static_cast<int64_t>(this->size) * part / StepBack<T>::kParts);
  }
  template <int kTileRows, int kCount>
  __device__ void Finish(int64_t first, int tile, const T (*sums)[kCount]) const {
    for (int at = Thread(); at < kTileRows * kCount; at += kThreads) {
      const int64_t sample = first + at / kCount;
      const int n = Column<kCount>(tile, at % kCount);
      if (sample < this->rows && n >= 0)
        step.scratch[sample * StepBack<T>::Scratch(step.shape) + Part<kCount>(tile) * this->stride + n] =
            sums[at / kCount][at % kCount];
    }
  }
};

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
  for (int t = 0; t < shape.steps; ++t) {
    const Step<T> step = {shape, t, inputs, keys, values, v, h, c, gates, queries, alignments};
    const T* last = t > 0 ? h + Row(shape, 0, t - 1) * shape.units : nullptr;
    const int64_t stride = static_cast<int64_t>(shape.steps) * shape.units;
    const int size = t > 0 ? shape.units : 0;
    if (shape.num_memories == 0) {
      Start<T>(stream, MakeTask<Cells<T>>(last, stride, state_kernel, size, Width(shape), step));
    } else {
      Start<T>(stream, MakeTask<Projection<T>>(last, stride, state_kernel, size, Width(shape), step));
      ASTER_LAUNCH(AttendKernel, shape.batch, stream, step);
    }
  }
  return cudaGetLastError();
}

size_t AttentionLstmGradientScratch(const AttentionShape& shape) {
  return static_cast<size_t>(shape.batch) * StepBack<float>::Scratch(shape);
}

template <typename T>
int AttentionLstmGradient(Stream stream, const AttentionShape& shape, const T* state_kernel, const T* keys,
                          const T* values, const T* v, const T* c, const T* gates, const T* queries,
                          const T* alignments, const T* d_h, T* d_projection, T* d_keys, T* d_v, T* transposed,
                          T* scratch) {
  if (shape.batch == 0) return 0;
  const int64_t blocks = (static_cast<int64_t>(shape.units) * Width(shape) + kThreads - 1) / kThreads;
  ASTER_LAUNCH(TransposeKernel, static_cast<unsigned>(blocks < 65535 ? blocks : 65535), stream, state_kernel,
               shape.units, Width(shape), transposed);
  for (int t = shape.steps - 1; t >= 0; --t) {
    const StepBack<T> step = {shape, t, keys, values, v, c, gates, queries, alignments, d_h, d_projection, d_keys, d_v,
                              scratch};
    ASTER_LAUNCH(StepBackKernel, shape.batch, stream, step);
    const T* from = d_projection + Row(shape, 0, t) * Width(shape);
    const int64_t stride = static_cast<int64_t>(shape.steps) * Width(shape);
    if (t > 0)
      Start<T>(stream, MakeTask<ProductBack<T>>(from, stride, static_cast<const T*>(transposed), Width(shape),
                                                shape.units, step));
  }
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

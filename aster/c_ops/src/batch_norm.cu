// Batch normalization on a GPU. It reads and writes memory and hardly computes, so what counts is that neighbouring
// threads read neighbouring values, many at a time. A sum over all rows is made in two steps: each block adds up rows
// of its own, then one kernel adds up the blocks. All sums have a fixed order, so that results repeat bit for bit.
#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

const int kRowsInFlight = 4;          // whose loads come before their arithmetic
const int64_t kValuesOfBlock = 16384;
const int64_t kMostBlocks = 1024;

// Values that are loaded at once.
template <typename T, int kWidth>
struct alignas(kWidth * sizeof(T)) Pack { T of[kWidth]; };

template <int kWidth, typename T>
__device__ Pack<T, kWidth> LoadPack(const T* from, int64_t place) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from + place);
}

// Calls each(first channel, place of it in memory, a slot for it) for all rows of this block. Each thread stays on
// kWidth neighbouring channels. `Each` loads into slots first, and then uses them.
template <int kWidth, typename Each>
__device__ void ForRows(const NormShape& shape, int64_t rows_of_block, int row, int rows_at_once, int channel,
                        Each* each) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * rows_of_block;
  const int64_t last = first + rows_of_block < shape.rows ? first + rows_of_block : shape.rows;
  for (int64_t i = first + row; i < last; i += kRowsInFlight * rows_at_once) {
#pragma unroll
    for (int k = 0; k < kRowsInFlight; ++k)
      if (i + k * rows_at_once < last) each->Load(k, (i + k * rows_at_once) * shape.channels + channel);
#pragma unroll
    for (int k = 0; k < kRowsInFlight; ++k)
      if (i + k * rows_at_once < last) each->Use(k, (i + k * rows_at_once) * shape.channels + channel);
  }
}

template <typename T>
struct Norm {
  const T* x;
  const float *scale, *offset, *mean, *inverse;
};

// (x - mean) * factor + offset of neighbouring channels.
template <int kWidth, typename T>
struct Line {
  Norm<T> norm;
  bool relu;
  float mean[kWidth], factor[kWidth], offset[kWidth];
  __device__ void StartLine(int channel) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      mean[i] = norm.mean[channel + i];
      factor[i] = norm.inverse[channel + i] * norm.scale[channel + i];
      offset[i] = norm.offset[channel + i];
    }
  }
};

// Sums of the forward pass: of x and of its square. The first row is taken off, so that a mean that is large beside the
// deviation costs no digits.
template <int kWidth, typename T>
struct SumX {
  const T* x;
  float shift[kWidth], a[kWidth], b[kWidth];
  Pack<T, kWidth> slots[kRowsInFlight];
  __device__ void Start(int channel) {
    const Pack<T, kWidth> first = LoadPack<kWidth>(x, channel);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      shift[i] = ToFloat(first.of[i]);
      a[i] = b[i] = 0;
    }
  }
  __device__ void Load(int slot, int64_t place) { slots[slot] = LoadPack<kWidth>(x, place); }
  __device__ void Use(int slot, int64_t) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float value = ToFloat(slots[slot].of[i]) - shift[i];
      a[i] += value;
      b[i] += value * value;
    }
  }
};

// What both kernels of the backward pass know of a channel; d is the gradient before the ReLU.
template <int kWidth, typename T>
struct Back : Line<kWidth, T> {
  const T* d_y;
  Pack<T, kWidth> x_slots[kRowsInFlight], d_slots[kRowsInFlight];
  __device__ void Load(int slot, int64_t place) {
    x_slots[slot] = LoadPack<kWidth>(this->norm.x, place);
    d_slots[slot] = LoadPack<kWidth>(d_y, place);
  }
  __device__ float Centered(int slot, int i) const { return ToFloat(x_slots[slot].of[i]) - this->mean[i]; }
  __device__ float D(int slot, int i) const {
    const bool off = this->relu && !(Centered(slot, i) * this->factor[i] + this->offset[i] > 0);
    return off ? 0.0f : ToFloat(d_slots[slot].of[i]);
  }
};

// Sums of the backward pass: of d and of d * (x - mean).
template <int kWidth, typename T>
struct SumD : Back<kWidth, T> {
  float a[kWidth], b[kWidth];
  __device__ void Start(int channel) {
    this->StartLine(channel);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) a[i] = b[i] = 0;
  }
  __device__ void Use(int slot, int64_t) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float d = this->D(slot, i);
      a[i] += d;
      b[i] += d * this->Centered(slot, i);
    }
  }
};

// -> partial [blocks, 2, C], the sums a and b of each block's rows.
template <int kWidth, typename Sum>
__global__ void SumsKernel(NormShape shape, int64_t rows_of_block, Sum sum, float* partial) {
  __shared__ float sums[2 * kWidth][kThreads];
  const int columns = shape.channels / kWidth;
  for (int first = 0; first < columns; first += kThreads) {
    const int tile = columns - first < kThreads ? columns - first : kThreads, rows_at_once = kThreads / tile;
    const int row = Thread() / tile, channel = (first + Thread() % tile) * kWidth;
    if (row < rows_at_once) {
      sum.Start(channel);
      ForRows<kWidth>(shape, rows_of_block, row, rows_at_once, channel, &sum);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        sums[i][Thread()] = sum.a[i];
        sums[kWidth + i][Thread()] = sum.b[i];
      }
    }
    __syncthreads();
    for (int i = Thread(); i < 2 * kWidth * tile; i += kThreads) {
      const int which = i / tile, column = i % tile;
      float total = 0;
      for (int j = 0; j < rows_at_once; ++j) total += sums[which][j * tile + column];
      partial[(2 * static_cast<int64_t>(blockIdx.x) + which / kWidth) * shape.channels + (first + column) * kWidth +
              which % kWidth] = total;
    }
    __syncthreads();
  }
}

// Adds up the blocks; then finish(channel, sum of a, sum of b).
template <typename Finish>
__global__ void TotalsKernel(NormShape shape, int blocks, const float* partial, Finish finish) {
  __shared__ float sums[2][kGroups][kLanes + 1];
  const int lane = Thread() % kLanes, group = Thread() / kLanes;
  const int channel = blockIdx.x * kGroups + group;
  float a = 0, b = 0;
  if (channel < shape.channels) {
#pragma unroll 4
    for (int i = lane; i < blocks; i += kLanes) {
      a += partial[2 * static_cast<int64_t>(i) * shape.channels + channel];
      b += partial[(2 * static_cast<int64_t>(i) + 1) * shape.channels + channel];
    }
  }
  sums[0][group][lane] = a;
  sums[1][group][lane] = b;
  __syncthreads();
  if (lane == 0 && channel < shape.channels) {
    double total_a = 0, total_b = 0;
    for (int i = 0; i < kLanes; ++i) {
      total_a += sums[0][group][i];
      total_b += sums[1][group][i];
    }
    finish(channel, total_a, total_b);
  }
}

template <typename T>
struct FinishX {
  const T* x;
  double rows;
  float epsilon;
  float *mean, *variance, *inverse;
  __device__ void operator()(int channel, double a, double b) const {
    const double shifted = a / rows, square = b / rows - shifted * shifted;
    const double own = square > 0 ? square : square == square ? 0 : square;  // not a number stays so
    mean[channel] = static_cast<float>(ToFloat(x[channel]) + shifted);
    variance[channel] = static_cast<float>(own * (rows > 1 ? rows / (rows - 1) : 1));
    inverse[channel] = static_cast<float>(1 / sqrt(own + epsilon));
  }
};

struct FinishD {
  const float* inverse;
  float *d_scale, *d_offset;
  __device__ void operator()(int channel, double a, double b) const {
    d_offset[channel] = static_cast<float>(a);
    d_scale[channel] = static_cast<float>(b * inverse[channel]);
  }
};

template <int kWidth, typename T>
struct Normalize : Line<kWidth, T> {
  T* y;
  Pack<T, kWidth> slots[kRowsInFlight];
  __device__ void Start(int channel) { this->StartLine(channel); }
  __device__ void Load(int slot, int64_t place) { slots[slot] = LoadPack<kWidth>(this->norm.x, place); }
  __device__ void Use(int slot, int64_t place) {
    Pack<T, kWidth> result;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float value = (ToFloat(slots[slot].of[i]) - this->mean[i]) * this->factor[i] + this->offset[i];
      FromFloat(this->relu && value < 0 ? 0.0f : value, &result.of[i]);
    }
    *reinterpret_cast<Pack<T, kWidth>*>(y + place) = result;
  }
};

template <int kWidth, typename T>
struct InputGradient : Back<kWidth, T> {
  const float *d_scale, *d_offset;
  float rows;
  T* d_x;
  float mean_d[kWidth], slope[kWidth];
  __device__ void Start(int channel) {
    this->StartLine(channel);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      mean_d[i] = d_offset[channel + i] / rows;
      slope[i] = this->norm.inverse[channel + i] * d_scale[channel + i] / rows;
    }
  }
  __device__ void Use(int slot, int64_t place) {
    Pack<T, kWidth> result;
#pragma unroll
    for (int i = 0; i < kWidth; ++i)
      FromFloat(this->factor[i] * (this->D(slot, i) - mean_d[i] - this->Centered(slot, i) * slope[i]), &result.of[i]);
    *reinterpret_cast<Pack<T, kWidth>*>(d_x + place) = result;
  }
};

template <int kWidth, typename Each>
__global__ void RowsKernel(NormShape shape, int64_t rows_of_block, Each each) {
  const int columns = shape.channels / kWidth;
  for (int first = 0; first < columns; first += kThreads) {
    const int tile = columns - first < kThreads ? columns - first : kThreads, rows_at_once = kThreads / tile;
    const int row = Thread() / tile, channel = (first + Thread() % tile) * kWidth;
    if (row >= rows_at_once) continue;
    each.Start(channel);
    ForRows<kWidth>(shape, rows_of_block, row, rows_at_once, channel, &each);
  }
}

struct Blocks {
  explicit Blocks(const NormShape& shape) {
    const int64_t wanted = (shape.rows * shape.channels + kValuesOfBlock - 1) / kValuesOfBlock;
    const int64_t most = wanted < kMostBlocks ? wanted : kMostBlocks;
    rows = (shape.rows + most - 1) / most;
    count = static_cast<unsigned>((shape.rows + rows - 1) / rows);
  }
  int64_t rows;  // of each block
  unsigned count;
};

template <int kWidth, typename T>
int Forward(Stream stream, const NormShape& shape, const Norm<T>& norm, T* y, float* mean, float* variance,
            float* inverse, float* partial) {
  const Blocks blocks(shape);
  SumX<kWidth, T> sum = {};
  sum.x = norm.x;
  ASTER_LAUNCH((SumsKernel<kWidth, SumX<kWidth, T>>), blocks.count, stream, shape, blocks.rows, sum, partial);
  const FinishX<T> finish = {norm.x, static_cast<double>(shape.rows), shape.epsilon, mean, variance, inverse};
  ASTER_LAUNCH(TotalsKernel, (shape.channels + kGroups - 1) / kGroups, stream, shape, static_cast<int>(blocks.count),
               partial, finish);
  Normalize<kWidth, T> each = {};
  each.norm = norm;
  each.relu = shape.relu;
  each.y = y;
  ASTER_LAUNCH((RowsKernel<kWidth, Normalize<kWidth, T>>), blocks.count, stream, shape, blocks.rows, each);
  return cudaGetLastError();
}

template <int kWidth, typename T>
int Backward(Stream stream, const NormShape& shape, const Norm<T>& norm, const T* d_y, T* d_x, float* d_scale,
             float* d_offset, float* partial) {
  const Blocks blocks(shape);
  SumD<kWidth, T> sum = {};
  sum.norm = norm;
  sum.d_y = d_y;
  sum.relu = shape.relu;
  ASTER_LAUNCH((SumsKernel<kWidth, SumD<kWidth, T>>), blocks.count, stream, shape, blocks.rows, sum, partial);
  const FinishD finish = {norm.inverse, d_scale, d_offset};
  ASTER_LAUNCH(TotalsKernel, (shape.channels + kGroups - 1) / kGroups, stream, shape, static_cast<int>(blocks.count),
               partial, finish);
  InputGradient<kWidth, T> each = {};
  static_cast<Back<kWidth, T>&>(each) = sum;
  each.d_scale = d_scale;
  each.d_offset = d_offset;
  each.rows = static_cast<float>(shape.rows);
  each.d_x = d_x;
  ASTER_LAUNCH((RowsKernel<kWidth, InputGradient<kWidth, T>>), blocks.count, stream, shape, blocks.rows, each);
  return cudaGetLastError();
}

}  // namespace

int64_t BatchNormScratch(const NormShape& shape) { return 2 * Blocks(shape).count * shape.channels; }

template <typename T>
int BatchNorm(Stream stream, const NormShape& shape, const T* x, const float* scale, const float* offset, T* y,
              float* mean, float* variance, float* inverse, float* scratch) {
  const Norm<T> norm = {x, scale, offset, mean, inverse};
  return shape.channels % 4 == 0 ? Forward<4>(stream, shape, norm, y, mean, variance, inverse, scratch)
                                 : Forward<1>(stream, shape, norm, y, mean, variance, inverse, scratch);
}

template <typename T>
int BatchNormGradient(Stream stream, const NormShape& shape, const T* d_y, const T* x, const float* scale,
                      const float* offset, const float* mean, const float* inverse, T* d_x, float* d_scale,
                      float* d_offset, float* scratch) {
  const Norm<T> norm = {x, scale, offset, mean, inverse};
  return shape.channels % 4 == 0 ? Backward<4>(stream, shape, norm, d_y, d_x, d_scale, d_offset, scratch)
                                 : Backward<1>(stream, shape, norm, d_y, d_x, d_scale, d_offset, scratch);
}

#define INSTANTIATE(T)                                                                                               \
  template int BatchNorm(Stream, const NormShape&, const T*, const float*, const float*, T*, float*, float*, float*, \
                         float*);                                                                                    \
  template int BatchNormGradient(Stream, const NormShape&, const T*, const T*, const float*, const float*,           \
                                 const float*, const float*, T*, float*, float*, float*)
INSTANTIATE(float);
INSTANTIATE(Bfloat16);
#undef INSTANTIATE

}  // namespace gpu
}  // namespace aster

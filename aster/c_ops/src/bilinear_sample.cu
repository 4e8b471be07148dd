// Bilinear sampling on a GPU.
#include "bilinear_sample.h"

#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

template <typename T>
__device__ void Add(T* to, T value) { atomicAdd(to, value); }

// Calls one(point, part, sizes, offset of the point's image) for the parts 0 to one.Parts(channels) - 1 of each point of the
// batch. Threads side by side have the parts of one point, and so read and write values side by side.
template <typename Index, typename One>
__device__ void ForParts(const SampleShape& shape, const One& one) {
  const SampleSizes sizes = {shape.height, shape.width, shape.channels, shape.points};
  const int64_t image_size = shape.height * shape.width * shape.channels;
  const Index parts = one.Parts(shape.channels), points = shape.points, count = shape.batch * shape.points * parts;
  for (Index i = static_cast<Index>(blockIdx.x) * kThreads + Thread(); i < count;
       i += static_cast<Index>(gridDim.x) * kThreads)
    one(static_cast<int64_t>(i / parts), static_cast<int64_t>(i % parts), sizes, i / parts / points * image_size);
}

template <typename T>
struct Sample {
  const T *images, *grid;
  T* samples;
  __host__ __device__ int64_t Parts(int64_t channels) const { return channels; }
  __device__ void operator()(int64_t point, int64_t channel, const SampleSizes& sizes, int64_t image) const {
    const Corner<T> at(sizes, grid + 2 * point);
    const T* from = images + image + at.offset + channel;
    samples[point * sizes.channels + channel] =
        at.left * at.up * from[0] + at.left * at.down * from[at.below] + at.right * at.up * from[at.beside] +
        at.right * at.down * from[at.below + at.beside];
  }
};

template <typename T>
struct GridGradient {
  const T *images, *grid, *d_samples;
  T* d_grid;
  __host__ __device__ int64_t Parts(int64_t) const { return 1; }
  __device__ void operator()(int64_t point, int64_t, const SampleSizes& sizes, int64_t image) const {
    const Corner<T> at(sizes, grid + 2 * point);
    const T *from = images + image + at.offset, *d = d_samples + point * sizes.channels;
    T d_x = 0, d_y = 0;
    for (int64_t n = 0; n < sizes.channels; ++n) {
      const T here = from[n], under = from[at.below + n], next = from[at.beside + n];
      const T across = from[at.below + at.beside + n];
      d_x += d[n] * (at.up * (next - here) + at.down * (across - under));
      d_y += d[n] * (at.left * (under - here) + at.right * (across - next));
    }
    d_grid[2 * point] = at.free_x ? d_x * sizes.width : T(0);
    d_grid[2 * point + 1] = at.free_y ? d_y * sizes.height : T(0);
  }
};

template <typename T>
struct ImageGradient {
  const T *grid, *d_samples;
  T* d_images;
  __host__ __device__ int64_t Parts(int64_t channels) const { return 2 * channels; }
  // The two pixels to the left of the point, or those to its right.
  __device__ void operator()(int64_t point, int64_t part, const SampleSizes& sizes, int64_t image) const {
    const Corner<T> at(sizes, grid + 2 * point);
    const bool is_right = part >= sizes.channels;
    const int64_t channel = is_right ? part - sizes.channels : part;
    const T d = d_samples[point * sizes.channels + channel] * (is_right ? at.right : at.left);
    T* to = d_images + image + at.offset + (is_right ? at.beside : 0) + channel;
    Add(to, at.up * d);
    Add(to + at.below, at.down * d);
  }
};

template <typename Index, typename One>
__global__ void PartsKernel(SampleShape shape, One one) { ForParts<Index>(shape, one); }

template <typename One>
int Launch(Stream stream, const SampleShape& shape, const One& one) {
  const int64_t count = shape.batch * shape.points * one.Parts(shape.channels);
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  if (blocks == 0) return 0;
  const unsigned some = static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
  if (count < INT32_MAX) {  // a GPU divides 32 bits much faster than 64; a step further still fits
    const auto kernel = PartsKernel<uint32_t, One>;
    ASTER_LAUNCH(kernel, some, stream, shape, one);
  } else {
    const auto kernel = PartsKernel<int64_t, One>;
    ASTER_LAUNCH(kernel, some, stream, shape, one);
  }
  return cudaGetLastError();
}

}  // namespace

const char* ErrorText(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

template <typename T>
int BilinearSample(Stream stream, const SampleShape& shape, const T* images, const T* grid, T* samples) {
  const Sample<T> one = {images, grid, samples};
  return Launch(stream, shape, one);
}

template <typename T>
int BilinearSampleGridGradient(Stream stream, const SampleShape& shape, const T* images, const T* grid,
                               const T* d_samples, T* d_grid) {
  const GridGradient<T> one = {images, grid, d_samples, d_grid};
  return Launch(stream, shape, one);
}

template <typename T>
int BilinearSampleImageGradient(Stream stream, const SampleShape& shape, const T* grid, const T* d_samples,
                                T* d_images) {
  const int error = cudaMemsetAsync(
      d_images, 0, shape.batch * shape.height * shape.width * shape.channels * sizeof(T), stream);
  if (error) return error;
  const ImageGradient<T> one = {grid, d_samples, d_images};
  return Launch(stream, shape, one);
}

#define INSTANTIATE(T)                                                                                         \
  template int BilinearSample(Stream, const SampleShape&, const T*, const T*, T*);                             \
  template int BilinearSampleGridGradient(Stream, const SampleShape&, const T*, const T*, const T*, T*);       \
  template int BilinearSampleImageGradient(Stream, const SampleShape&, const T*, const T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace gpu
}  // namespace aster

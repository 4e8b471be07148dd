// Bilinear sampling on a GPU: one thread per point of the grid.
#include "bilinear_sample.h"

#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

template <typename T>
__device__ void Add(T* to, T value) { atomicAdd(to, value); }

// Calls one(point, sizes, offset of the point's image) for each point of the batch.
template <typename One>
__device__ void ForPoints(const SampleShape& shape, const One& one) {
  const SampleSizes sizes = {shape.height, shape.width, shape.channels, shape.points};
  const int64_t image_size = shape.height * shape.width * shape.channels;
  const int64_t count = shape.batch * shape.points;
  for (int64_t point = static_cast<int64_t>(blockIdx.x) * kThreads + Thread(); point < count;
       point += static_cast<int64_t>(gridDim.x) * kThreads)
    one(point, sizes, point / shape.points * image_size);
}

template <typename T>
struct Sample {
  const T *images, *grid;
  T* samples;
  __device__ void operator()(int64_t point, const SampleSizes& sizes, int64_t image) const {
    const Corner<T> at(sizes, grid + 2 * point);
    const T* from = images + image + at.offset;
    const T a = at.left * at.up, b = at.left * at.down, c = at.right * at.up, d = at.right * at.down;
    T* out = samples + point * sizes.channels;
    for (int64_t n = 0; n < sizes.channels; ++n)
      out[n] = a * from[n] + b * from[at.below + n] + c * from[at.beside + n] + d * from[at.below + at.beside + n];
  }
};

template <typename T>
struct GridGradient {
  const T *images, *grid, *d_samples;
  T* d_grid;
  __device__ void operator()(int64_t point, const SampleSizes& sizes, int64_t image) const {
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
  __device__ void operator()(int64_t point, const SampleSizes& sizes, int64_t image) const {
    const Corner<T> at(sizes, grid + 2 * point);
    const T* d = d_samples + point * sizes.channels;
    T* to = d_images + image + at.offset;
    for (int64_t n = 0; n < sizes.channels; ++n) {
      Add(to + n, at.left * at.up * d[n]);
      Add(to + at.below + n, at.left * at.down * d[n]);
      Add(to + at.beside + n, at.right * at.up * d[n]);
      Add(to + at.below + at.beside + n, at.right * at.down * d[n]);
    }
  }
};

template <typename One>
__global__ void PointsKernel(SampleShape shape, One one) { ForPoints(shape, one); }

template <typename One>
int Launch(Stream stream, const SampleShape& shape, const One& one) {
  const int64_t blocks = (shape.batch * shape.points + kThreads - 1) / kThreads;
  if (blocks == 0) return 0;
  ASTER_LAUNCH(PointsKernel, static_cast<unsigned>(blocks < 65535 ? blocks : 65535), stream, shape, one);
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

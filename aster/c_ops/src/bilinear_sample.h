// Bilinear sampling with both gradients, free of TensorFlow.
#ifndef ASTER_C_OPS_BILINEAR_SAMPLE_H_
#define ASTER_C_OPS_BILINEAR_SAMPLE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define ASTER_ANYWHERE __host__ __device__
#else
#define ASTER_ANYWHERE
#endif

namespace aster {

struct SampleSizes {
  int64_t height, width, channels, points;
};

// Where a point of the grid, (x, y) as fractions, reads: coordinates in pixels are clipped to [0, W - 2]
// and [0, H - 2]. A point that is not a number reads the first pixels, with weights that are none either.
template <typename T>
struct Corner {
  ASTER_ANYWHERE Corner(const SampleSizes& sizes, const T* point) {
    int64_t column, row;
    Find(point[0], sizes.width, &column, &left, &right, &free_x);
    Find(point[1], sizes.height, &row, &up, &down, &free_y);
    offset = (row * sizes.width + column) * sizes.channels;
    below = sizes.height > 1 ? sizes.width * sizes.channels : 0;
    beside = sizes.width > 1 ? sizes.channels : 0;
  }

  // A float can't tell all pixels apart where there are more than 2^24.
  ASTER_ANYWHERE static void Find(T fraction, int64_t size, int64_t* pixel, T* weight, T* next_weight, bool* free) {
    if (size <= int64_t{1} << 24)
      FindAs<T>(fraction, size, pixel, weight, next_weight, free);
    else
      FindAs<double>(fraction, size, pixel, weight, next_weight, free);
  }

  template <typename Real>
  ASTER_ANYWHERE static void FindAs(Real fraction, int64_t size, int64_t* pixel, T* weight, T* next_weight,
                                    bool* free) {
    const Real last = size > 2 ? size - 2 : 0;
    Real x = fraction * size;
    *free = x >= 0 && x <= last;
    x = x < 0 ? 0 : x > last ? last : x;
    const Real x0 = std::floor(x);
    *weight = (x0 + 1) - x;
    *next_weight = x - x0;
    *pixel = x0 > 0 ? static_cast<int64_t>(x0) : 0;
  }

  T left, right, up, down;         // weights
  bool free_x, free_y;             // whether the coordinate was inside, so that it has a gradient
  int64_t offset, below, beside;   // of the upper left value, and from it to the others
};

// image [H, W, C], grid [P, 2] -> samples [P, C].
template <typename T>
void BilinearSample(const SampleSizes& sizes, const T* image, const T* grid, T* samples) {
  for (int64_t p = 0; p < sizes.points; ++p, grid += 2, samples += sizes.channels) {
    const Corner<T> at(sizes, grid);
    const T* from = image + at.offset;
    const T a = at.left * at.up, b = at.left * at.down, c = at.right * at.up, d = at.right * at.down;
    for (int64_t n = 0; n < sizes.channels; ++n)
      samples[n] = a * from[n] + b * from[at.below + n] + c * from[at.beside + n] + d * from[at.below + at.beside + n];
  }
}

// d_samples [P, C] -> d_grid [P, 2].
template <typename T>
void BilinearSampleGridGradient(const SampleSizes& sizes, const T* image, const T* grid, const T* d_samples,
                                T* d_grid) {
  for (int64_t p = 0; p < sizes.points; ++p, grid += 2, d_grid += 2, d_samples += sizes.channels) {
    const Corner<T> at(sizes, grid);
    const T* from = image + at.offset;
    T d_x = 0, d_y = 0;
    for (int64_t n = 0; n < sizes.channels; ++n) {
      const T a = from[n], b = from[at.below + n], c = from[at.beside + n], d = from[at.below + at.beside + n];
      d_x += d_samples[n] * (at.up * (c - a) + at.down * (d - b));
      d_y += d_samples[n] * (at.left * (b - a) + at.right * (d - c));
    }
    d_grid[0] = at.free_x ? d_x * sizes.width : 0;
    d_grid[1] = at.free_y ? d_y * sizes.height : 0;
  }
}

// d_samples [P, C] -> d_image [H, W, C].
template <typename T>
void BilinearSampleImageGradient(const SampleSizes& sizes, const T* grid, const T* d_samples, T* d_image) {
  std::fill_n(d_image, sizes.height * sizes.width * sizes.channels, T(0));
  for (int64_t p = 0; p < sizes.points; ++p, grid += 2, d_samples += sizes.channels) {
    const Corner<T> at(sizes, grid);
    T* to = d_image + at.offset;
    for (int64_t n = 0; n < sizes.channels; ++n) {
      to[n] += at.left * at.up * d_samples[n];
      to[at.below + n] += at.left * at.down * d_samples[n];
      to[at.beside + n] += at.right * at.up * d_samples[n];
      to[at.below + at.beside + n] += at.right * at.down * d_samples[n];
    }
  }
}

}  // namespace aster

#endif  // ASTER_C_OPS_BILINEAR_SAMPLE_H_

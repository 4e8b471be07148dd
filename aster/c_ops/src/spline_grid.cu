// The sampling grid of a thin-plate spline on a GPU. A block has some pixels of one image, and computes the image's
// coefficients first: they are few.
#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

const int kPixels = 4 * kThreads;  // of a block

// A fused multiply-add would round once where the published system rounds twice.
__device__ inline float MultiplyAdd(float a, float b, float sum) { return __fadd_rn(sum, __fmul_rn(a, b)); }

// aster::OrderedProduct for one row: the sum of `size` products, in its order. `from` goes from one term of the matrix to
// the next by `stride`, `vector` by 2.
__device__ inline float OrderedSum(const float* from, int stride, int row, int rows, int size, int terms,
                                   const float* vector) {
  const bool in_fours = row < rows / 4 * 4;
  int in_lanes = in_fours ? terms / 4 * 4 : 1;
  if (in_lanes > size) in_lanes = size;
  float sums[4] = {0, 0, 0, 0};
  for (int begin = 0; begin < in_lanes; begin += 4) {
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {  // unrolled, the sums are in registers
      if (begin + lane >= in_lanes) continue;
      const float factor = vector[2 * (begin + lane)], value = from[static_cast<int64_t>(begin + lane) * stride];
      sums[lane] = begin ? MultiplyAdd(value, factor, sums[lane]) : __fmul_rn(value, factor);
    }
  }
  float sum = in_fours ? __fadd_rn(__fadd_rn(sums[0], sums[1]), __fadd_rn(sums[2], sums[3])) : sums[0];
  for (int term = in_lanes; term < size; ++term)
    sum = MultiplyAdd(from[static_cast<int64_t>(term) * stride], vector[2 * term], sum);
  return sum;
}

__global__ void SplineKernel(SplineShape shape, const float* points, const float* inverse, const float* lift,
                             float* grid) {
  __shared__ float coefficients[2 * SplineShape::kMostCoefficients];
  const int blocks = (shape.pixels + kPixels - 1) / kPixels;  // of an image
  const int64_t image = blockIdx.x / blocks;
  const float* own = points + image * shape.num_points * 2;
  for (int i = Thread(); i < 2 * shape.coefficients; i += kThreads)
    coefficients[i] = OrderedSum(inverse + i / 2, shape.coefficients, i / 2, shape.coefficients, shape.num_points,
                                 shape.coefficients, own + i % 2);
  __syncthreads();
  const int first = blockIdx.x % blocks * kPixels, last = first + kPixels < shape.pixels ? first + kPixels : shape.pixels;
  for (int pixel = first + Thread(); pixel < last; pixel += kThreads) {
    float* to = grid + (image * shape.pixels + pixel) * 2;
    for (int axis = 0; axis < 2; ++axis)
      to[axis] = OrderedSum(lift + pixel, shape.pixels, pixel, shape.pixels, shape.coefficients, shape.coefficients,
                            coefficients + axis);
  }
}

}  // namespace

int SplineGrid(Stream stream, const SplineShape& shape, const float* points, const float* inverse, const float* lift,
               float* grid) {
  const int64_t blocks = static_cast<int64_t>(shape.batch) * ((shape.pixels + kPixels - 1) / kPixels);
  if (blocks == 0) return 0;
  if (shape.coefficients > SplineShape::kMostCoefficients || blocks > INT32_MAX) return cudaErrorInvalidValue;
  ASTER_LAUNCH(SplineKernel, static_cast<unsigned>(blocks), stream, shape, points, inverse, lift, grid);
  return cudaGetLastError();
}

}  // namespace gpu
}  // namespace aster

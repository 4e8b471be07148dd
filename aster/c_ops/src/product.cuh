// Matrix products within a step of a recurrence: rows of many samples times the weights that they share. A block makes
// a tile of the result, so that it reads a weight once for all rows of its tile. Kernels start once for each step.
#ifndef ASTER_C_OPS_PRODUCT_CUH_
#define ASTER_C_OPS_PRODUCT_CUH_

#include "block.cuh"

namespace aster {
namespace gpu {

// A tile of kRows x kColumns sums for each thread. Threads of one group (a warp) have the same rows.
template <typename T, int kRows, int kColumns>
struct Tile {
  static const int kTileRows = kRows * kGroups, kTileColumns = kColumns * kLanes;
  static const int kDepth = 256 / sizeof(T);  // how far a tile reaches into the rows at once
  static const int kRowLoads = kTileRows * kDepth / kThreads, kMatrixLoads = kTileColumns * kDepth / kThreads;

  static const int kRowStride = kDepth + 4, kMatrixStride = kTileColumns + 4;  // 4 more for other banks of memory

  union Shared {
    struct {
      alignas(32) T rows[kTileRows][kRowStride];
      alignas(32) T matrix[kDepth][kMatrixStride];
    } in;
    T sums[kTileRows][kTileColumns];
  };

  // Leaves in shared->sums the products of rows `first` to `first + kTileRows` of a task with its columns of `tile`.
  // Rows and columns that the task does not have are 0. Ends in step.
  template <typename OneTask>
  __device__ static void Multiply(const OneTask& task, int64_t first, int tile, Shared* shared) {
    const int begin = task.template Begin<kTileColumns>(tile), end = task.template End<kTileColumns>(tile);
    T sums[kRows][kColumns] = {}, row_values[kRowLoads], matrix_values[kMatrixLoads];
    for (int next = begin; next < end + kDepth; next += kDepth) {  // it reads one ahead of what it multiplies
      if (next < end) Load(task, first, tile, next, end, row_values, matrix_values);
      if (next > begin) Add(*shared, sums);
      __syncthreads();
      if (next < end) Store(row_values, matrix_values, shared);
      __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r)
#pragma unroll
      for (int c = 0; c < kColumns; ++c)
        shared->sums[Thread() / kLanes * kRows + r][Thread() % kLanes + c * kLanes] = sums[r][c];
    __syncthreads();
  }

  // What a thread loads of rows and matrix is one below the other, so that places are found once and not for each value.
  template <typename OneTask>
  __device__ static void Load(const OneTask& task, int64_t first, int tile, int from, int end, T* row_values,
                              T* matrix_values) {
    const int kRowsApart = kThreads / kDepth, kDepthsApart = kThreads / kTileColumns;
    const int64_t row = first + Thread() / kDepth;
    const int k = from + Thread() % kDepth, left = k < end ? static_cast<int>(Least(task.rows - row, kTileRows)) : 0;
    const T* values = task.from + row * task.row_stride + k;
#pragma unroll
    for (int i = 0; i < kRowLoads; ++i)
      row_values[i] = i * kRowsApart < left ? values[i * kRowsApart * task.row_stride] : T(0);
    const int column = task.template Column<kTileColumns>(tile, Thread() % kTileColumns);
    const int depth = from + Thread() / kTileColumns, below = column >= 0 ? end - depth : 0;
    const T* weights = task.matrix + static_cast<int64_t>(depth) * task.stride + column;
#pragma unroll
    for (int i = 0; i < kMatrixLoads; ++i)
      matrix_values[i] = i * kDepthsApart < below ? weights[static_cast<int64_t>(i) * kDepthsApart * task.stride] : T(0);
  }

  __device__ static int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }

  __device__ static void Store(const T* row_values, const T* matrix_values, Shared* shared) {
#pragma unroll
    for (int i = 0; i < kRowLoads; ++i) {
      const int at = Thread() + i * kThreads;
      shared->in.rows[at / kDepth][at % kDepth] = row_values[i];
    }
#pragma unroll
    for (int i = 0; i < kMatrixLoads; ++i) {
      const int at = Thread() + i * kThreads;
      shared->in.matrix[at / kTileColumns][at % kTileColumns] = matrix_values[i];
    }
  }

  __device__ static void Add(const Shared& shared, T (*sums)[kColumns]) {
#pragma unroll 4
    for (int k = 0; k < kDepth; k += 4) {
      Four<T> row[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        row[r] = *reinterpret_cast<const Four<T>*>(&shared.in.rows[Thread() / kLanes * kRows + r][k]);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const T weight = shared.in.matrix[k + i][Thread() % kLanes + c * kLanes];
#pragma unroll
          for (int r = 0; r < kRows; ++r) sums[r][c] += row[r].of[i] * weight;
        }
    }
  }
};

// What tasks have in common: rows [R, K], each `row_stride` from the next, times matrix [K, N]. A task adds Finish, which
// takes the sums of a tile.
template <typename T>
struct Task {
  int64_t rows, row_stride;
  const T *from, *matrix;
  int size, stride;  // K and N

  template <int kCount>
  __host__ __device__ int Tiles() const { return (stride + kCount - 1) / kCount; }  // of kCount columns
  template <int kCount>
  __device__ int Column(int tile, int c) const { return tile * kCount + c < stride ? tile * kCount + c : -1; }
  template <int kCount>
  __device__ int Begin(int) const { return 0; }  // the part of K that a tile takes
  template <int kCount>
  __device__ int End(int) const { return size; }
  __device__ bool IsIdle(int64_t, int) const { return false; }  // whether nobody needs these rows
};

template <typename OneTask, typename T, int kRows, int kColumns>
__global__ void TileKernel(OneTask task) {
  typedef Tile<T, kRows, kColumns> Of;
  __shared__ typename Of::Shared shared;
  const int tiles = task.template Tiles<Of::kTileColumns>(), tile = blockIdx.x % tiles;
  const int64_t first = static_cast<int64_t>(blockIdx.x / tiles) * Of::kTileRows;
  if (task.IsIdle(first, Of::kTileRows)) return;
  Of::Multiply(task, first, tile, &shared);
  task.template Finish<Of::kTileRows, Of::kTileColumns>(first, tile, shared.sums);
}

// Starts a task in tiles of 32 x 64; in tiles of 16 x 32 where those were too few to keep a GPU busy.
template <typename T, typename OneTask>
void Start(Stream stream, const OneTask& task) {
  typedef Tile<T, 4, 2> Large;
  typedef Tile<T, 2, 1> Small;
  const int64_t large = (task.rows + Large::kTileRows - 1) / Large::kTileRows *
                        task.template Tiles<Large::kTileColumns>();
  const int64_t small = (task.rows + Small::kTileRows - 1) / Small::kTileRows *
                        task.template Tiles<Small::kTileColumns>();
  const bool is_large = large >= 128;
  const auto kernel = is_large ? TileKernel<OneTask, T, 4, 2> : TileKernel<OneTask, T, 2, 1>;
  ASTER_LAUNCH(kernel, static_cast<unsigned>(is_large ? large : small), stream, task);
}

// rows [R, K] times matrix [K, N] -> out [R, N].
template <typename T>
struct Product : Task<T> {
  T* out;

  template <int kTileRows, int kCount>
  __device__ void Finish(int64_t first, int tile, const T (*sums)[kCount]) const {
    for (int at = Thread(); at < kTileRows * kCount; at += kThreads) {
      const int64_t row = first + at / kCount;
      const int column = this->template Column<kCount>(tile, at % kCount);
      if (row < this->rows && column >= 0) out[row * this->stride + column] = sums[at / kCount][at % kCount];
    }
  }
};

}  // namespace gpu
}  // namespace aster

#endif  // ASTER_C_OPS_PRODUCT_CUH_

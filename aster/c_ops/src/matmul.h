// Products of a few rows with a matrix that is used many times, free of TensorFlow.
//
// A decoder multiplies one row per hypothesis with the same kernel in every step. So each call of an op lays its kernel
// out once, in the order in which the products read it. That takes less time than to find out whether the kernel is
// that of the call before.
#ifndef ASTER_C_OPS_MATMUL_H_
#define ASTER_C_OPS_MATMUL_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "simd.h"

namespace aster {

// A matrix [rows, columns] cut into panels of columns, two vectors wide, one panel after the other; the last one is
// filled up with zeros. A product reads a panel from its first to its last value, without gaps.
template <typename T>
class PackedMatrix {
 public:
  // With `transposed`, `matrix` is [columns, rows].
  PackedMatrix(const T* matrix, int64_t rows, int64_t columns, bool transposed = false)
      : rows_(rows), columns_(columns) {
    const int64_t width = 2 * VectorBytes() / sizeof(T);
    const int64_t panels = (columns + width - 1) / width;
    data_.resize(panels * rows * width);
    for (int64_t panel = 0; panel < panels; ++panel) {
      const int64_t first = panel * width, count = std::min(width, columns - first);
      T* to = data_.data() + first * rows;
      if (transposed) {  // both loops read what lies side by side
        for (int64_t n = 0; n < count; ++n)
          for (int64_t row = 0; row < rows; ++row) to[row * width + n] = matrix[(first + n) * rows + row];
      } else {
        for (int64_t row = 0; row < rows; ++row)
          std::copy_n(matrix + row * columns + first, count, to + row * width);
      }
    }
  }

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  const T* data() const { return data_.data(); }

 private:
  int64_t rows_, columns_;
  std::vector<T> data_;
};

// Multiplies kRows rows with kPanels neighbouring panels and writes `columns` columns. The sums stay in registers: the
// sizes are known to the compiler and the loops over them are unrolled, so that `sums` and `b` never are in memory.
// Each sum is made in the order of k, so that a row has the same result whatever rows are beside it.
template <typename T, int kBytes, int kRows, int kPanels>
ASTER_INLINE void MultiplyPanels(const T* a, int64_t stride, const T* panel, int64_t depth, T* out,
                                 int64_t out_stride, int64_t columns) {
  typedef typename Lanes<T, kBytes>::Type V;
  const int kCount = Lanes<T, kBytes>::kCount, kVectors = 2 * kPanels;
  V sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[m][v] = V{};
  for (int64_t k = 0; k < depth; ++k) {
    V b[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      b[v] = *reinterpret_cast<const V*>(panel + v / 2 * depth * 2 * kCount + 2 * kCount * k + v % 2 * kCount);
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[m][v] += b[v] * a[m * stride + k];
  }
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
    T* row = out + m * out_stride;
    if (columns == kVectors * kCount) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(row + v * kCount) = sums[m][v];
    } else {
      T values[kVectors * kCount];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(values + v * kCount) = sums[m][v];
      std::copy_n(values, columns, row);
    }
  }
}

// out [rows, b.columns()] = a [rows, b.rows()] x b. A row of `a` begins `stride` values after the one before.
template <typename T, int kBytes>
ASTER_INLINE void Multiply(const T* a, int64_t stride, int64_t rows, const PackedMatrix<T>& b, T* out) {
  // A row of a block needs 2 registers for its sums, and the block 2 for the panel and 1 for a value of `a`. So 8 rows
  // fit into the 32 registers of AVX-512, and 5 into the 16 of other processors.
  const int kRows = kBytes == 64 ? 8 : 5;
  // A single row takes 4 panels at once. With one panel it would have 2 sums only, and each addition would wait for the
  // one before; with 8 sums the processor always has another one to go on with.
  const int kPanels = 4;
  const int64_t width = 2 * Lanes<T, kBytes>::kCount, depth = b.rows(), total = b.columns();
  int64_t n = 0;
  if (rows == 1) {
    for (; n + kPanels * width <= total; n += kPanels * width)
      MultiplyPanels<T, kBytes, 1, kPanels>(a, stride, b.data() + n * depth, depth, out + n, total, kPanels * width);
  }
  for (; n < total; n += width) {
    const T* panel = b.data() + n * depth;
    const int64_t columns = std::min(width, total - n);
    for (int64_t m = 0, count; m < rows; m += count) {
      const int64_t left = rows - m, blocks = (left + kRows - 1) / kRows;
      count = (left + blocks - 1) / blocks;  // alike: a row by itself costs as much as two of five
      const T* from = a + m * stride;
      T* to = out + m * total + n;
      if (count == 8) MultiplyPanels<T, kBytes, 8, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 7) MultiplyPanels<T, kBytes, 7, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 6) MultiplyPanels<T, kBytes, 6, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 5) MultiplyPanels<T, kBytes, 5, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 4) MultiplyPanels<T, kBytes, 4, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 3) MultiplyPanels<T, kBytes, 3, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 2) MultiplyPanels<T, kBytes, 2, 1>(from, stride, panel, depth, to, total, columns);
      if (count == 1) MultiplyPanels<T, kBytes, 1, 1>(from, stride, panel, depth, to, total, columns);
    }
  }
}

}  // namespace aster

#endif  // ASTER_C_OPS_MATMUL_H_

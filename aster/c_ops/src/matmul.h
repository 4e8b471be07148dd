// Products of a few rows with a matrix that serves many times, free of TensorFlow.
#ifndef ASTER_C_OPS_MATMUL_H_
#define ASTER_C_OPS_MATMUL_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "simd.h"

namespace aster {

// A matrix [rows, columns] cut into panels of columns, two vectors wide; the last is filled up with zeros.
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

// kRows rows of the product with one panel; `columns` of them are written.
template <typename T, int kBytes, int kRows>
ASTER_INLINE void MultiplyPanel(const T* a, int64_t stride, const T* panel, int64_t depth, T* out,
                                int64_t out_stride, int64_t columns) {
  typedef typename Lanes<T, kBytes>::Type V;
  const int kCount = Lanes<T, kBytes>::kCount;
  V left[kRows], right[kRows];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) left[m] = right[m] = V{};
  for (int64_t k = 0; k < depth; ++k) {
    const V x = *reinterpret_cast<const V*>(panel + 2 * kCount * k);
    const V y = *reinterpret_cast<const V*>(panel + 2 * kCount * k + kCount);
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      left[m] += x * a[m * stride + k];
      right[m] += y * a[m * stride + k];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
    T* row = out + m * out_stride;
    if (columns == 2 * kCount) {
      *reinterpret_cast<V*>(row) = left[m];
      *reinterpret_cast<V*>(row + kCount) = right[m];
    } else {
      for (int64_t n = 0; n < columns; ++n) row[n] = n < kCount ? left[m][n] : right[m][n - kCount];
    }
  }
}

// out [rows, b.columns()] = a [rows, b.rows()] x b.
template <typename T, int kBytes>
ASTER_INLINE void Multiply(const T* a, int64_t rows, const PackedMatrix<T>& b, T* out) {
  const int kRows = 5;  // 10 accumulators and 2 operands fit into the 16 registers of AVX2
  const int64_t width = 2 * Lanes<T, kBytes>::kCount, depth = b.rows(), total = b.columns();
  for (int64_t n = 0; n < total; n += width) {
    const T* panel = b.data() + n * depth;
    const int64_t columns = std::min(width, total - n);
    int64_t m = 0;
    for (; m + kRows <= rows; m += kRows)
      MultiplyPanel<T, kBytes, kRows>(a + m * depth, depth, panel, depth, out + m * total + n, total, columns);
    for (; m < rows; ++m)
      MultiplyPanel<T, kBytes, 1>(a + m * depth, depth, panel, depth, out + m * total + n, total, columns);
  }
}

}  // namespace aster

#endif  // ASTER_C_OPS_MATMUL_H_

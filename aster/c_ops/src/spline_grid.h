// The sampling grid of a thin-plate spline, free of TensorFlow.
//
// The coefficients of a spline are large and cancel, so that the order in which they are added shows in the result.
// It is that of the published system's matrix product (Eigen with SSE): four sums, of every fourth term each, then the
// terms that are left. Standard operations can't keep to it, since TensorFlow 2's graph rewriters change the order.
#ifndef ASTER_C_OPS_SPLINE_GRID_H_
#define ASTER_C_OPS_SPLINE_GRID_H_

#include <algorithm>
#include <cstdint>

namespace aster {

const int64_t kFewestTerms = 4;  // of a sum: each of its four parts has one

// A fused multiply-add would round once where the published system rounds twice.
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")

// matrix [rows, size], as its transpose [size, rows], times the x and the y of `vector` [size, 2] -> out [rows, 2].
// Each is the sum of `terms`, of which those from `size` on are zero; both are kFewestTerms or more.
inline void OrderedProduct(const float* transposed, int64_t rows, int64_t size, int64_t terms, const float* vector,
                           float* out) {
  const int64_t kBlock = 64;  // rows at a time, whose sums stay in the first cache
  const int64_t whole_rows = rows / 4 * 4;
  int64_t count;
  for (int64_t first = 0; first < rows; first += count) {
    const bool in_fours = first < whole_rows;  // the last rows are summed term by term
    const int64_t lanes = in_fours ? 4 : 1, in_lanes = in_fours ? std::min(terms / 4 * 4, size) : 1;
    count = std::min(kBlock, (in_fours ? whole_rows : rows) - first);
    for (int axis = 0; axis < 2; ++axis) {
      float sums[4][kBlock];
      for (int64_t term = 0; term < in_lanes; ++term) {
        const float* from = transposed + term * rows + first;
        const float factor = vector[2 * term + axis];
        float* sum = sums[term % lanes];
        if (term < lanes) {
          for (int64_t r = 0; r < count; ++r) sum[r] = from[r] * factor;
        } else {
          for (int64_t r = 0; r < count; ++r) sum[r] += from[r] * factor;
        }
      }
      if (in_fours)
        for (int64_t r = 0; r < count; ++r) sums[0][r] = (sums[0][r] + sums[1][r]) + (sums[2][r] + sums[3][r]);
      for (int64_t term = in_lanes; term < size; ++term)
        for (int64_t r = 0; r < count; ++r)
          sums[0][r] += transposed[term * rows + first + r] * vector[2 * term + axis];
      for (int64_t r = 0; r < count; ++r) out[2 * (first + r) + axis] = sums[0][r];
    }
  }
}

#pragma GCC pop_options

}  // namespace aster

#endif  // ASTER_C_OPS_SPLINE_GRID_H_

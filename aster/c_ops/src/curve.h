// Spreads points evenly along a curve.
#ifndef ASTER_C_OPS_CURVE_H_
#define ASTER_C_OPS_CURVE_H_

#include <stdint.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace aster {

// Spreads points evenly by arc length over the polyline through n >= 1 points (x, y). The first and the last are the
// curve's own; a single one is the first.
inline void DivideCurve(const double* curve, int64_t n, int64_t num_points, float* points) {
  std::vector<int64_t> kept{0};        // without points that repeat the one before them
  std::vector<double> position{0.0};  // of each along the curve
  for (int64_t i = 1; i < n; ++i) {
    const double length = std::hypot(curve[2 * i] - curve[2 * i - 2], curve[2 * i + 1] - curve[2 * i - 1]);
    if (length == 0.0) continue;
    kept.push_back(i);
    position.push_back(position.back() + length);
  }
  const int64_t last = static_cast<int64_t>(kept.size()) - 1;
  const double step = position[last] / std::max<int64_t>(num_points - 1, 1);
  int64_t from = 0;
  for (int64_t k = 0; k < num_points; ++k) {
    const bool is_end = last == 0 || (k > 0 && k == num_points - 1);  // rounding must not move the end
    while (from + 1 < last && position[from + 1] <= k * step) ++from;
    for (int axis = 0; axis < 2; ++axis) {
      const double end = curve[2 * kept[last] + axis], start = curve[2 * kept[from] + axis];
      if (is_end) {
        points[2 * k + axis] = static_cast<float>(end);
      } else {
        const double slope = (curve[2 * kept[from + 1] + axis] - start) / (position[from + 1] - position[from]);
        points[2 * k + axis] = static_cast<float>(start + slope * (k * step - position[from]));
      }
    }
  }
}

}  // namespace aster

#endif  // ASTER_C_OPS_CURVE_H_

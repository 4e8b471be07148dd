// Points at even distances along a polyline, free of TensorFlow.
#ifndef ASTER_C_OPS_DIVIDE_CURVE_H_
#define ASTER_C_OPS_DIVIDE_CURVE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace aster {

inline double SegmentLength(const float* from) {
  return std::hypot(static_cast<double>(from[2]) - from[0], static_cast<double>(from[3]) - from[1]);
}

// Spreads `num_points` >= 1 points evenly by arc length over the curve through `n` >= 1 points.
// Both are rows of (x, y). The first and the last point are the curve's own; one point alone is
// the first. A curve of zero length repeats its point.
inline void DivideCurve(const float* curve, int64_t n, int64_t num_points, float* points) {
  double total = 0;
  for (int64_t i = 0; i + 1 < n; ++i) total += SegmentLength(curve + 2 * i);

  int64_t segment = 0;
  double start = 0;  // arc length at the start of the segment
  double length = n > 1 ? SegmentLength(curve) : 0;
  for (int64_t k = 0; k + 1 < num_points; ++k) {
    const double target = total * k / (num_points - 1);
    while (segment + 2 < n && start + length < target) {
      start += length;
      ++segment;
      length = SegmentLength(curve + 2 * segment);
    }
    const float* from = curve + 2 * segment;
    const float* to = n > 1 ? from + 2 : from;
    const double share = length > 0 ? std::min((target - start) / length, 1.0) : 0;
    points[2 * k] = static_cast<float>(from[0] + (static_cast<double>(to[0]) - from[0]) * share);
    points[2 * k + 1] =
        static_cast<float>(from[1] + (static_cast<double>(to[1]) - from[1]) * share);
  }
  // Set apart, so that rounding in `total` cannot move the end.
  const float* end = num_points > 1 ? curve + 2 * (n - 1) : curve;
  std::copy(end, end + 2, points + 2 * (num_points - 1));
}

}  // namespace aster

#endif  // ASTER_C_OPS_DIVIDE_CURVE_H_

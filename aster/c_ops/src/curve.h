// Points evenly spread along a polyline. No TensorFlow here.
#ifndef ASTER_C_OPS_CURVE_H_
#define ASTER_C_OPS_CURVE_H_

#include <cmath>
#include <vector>

namespace aster {

// curve [n, 2] -> points [num_points, 2], evenly spaced by arc length from the first point to the last.
// A single point asked for is the first one; a curve of zero length gives its first point throughout.
inline void DivideCurve(const float* curve, int n, int num_points, float* points) {
  std::vector<double> length(n, 0.0);
  for (int i = 1; i < n; ++i) {
    const double dx = static_cast<double>(curve[2 * i]) - curve[2 * i - 2];
    const double dy = static_cast<double>(curve[2 * i + 1]) - curve[2 * i - 1];
    length[i] = length[i - 1] + std::sqrt(dx * dx + dy * dy);
  }
  const double total = length[n - 1];
  int segment = 0;  // the target lies between points `segment` and `segment + 1`
  for (int k = 0; k < num_points; ++k) {
    const double target = num_points > 1 ? total * k / (num_points - 1) : 0.0;
    while (segment + 2 < n && length[segment + 1] < target) ++segment;
    const int next = segment + 1 < n ? segment + 1 : segment;
    const double span = length[next] - length[segment];
    double t = span > 0.0 ? (target - length[segment]) / span : 0.0;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    for (int axis = 0; axis < 2; ++axis) {
      const double from = curve[2 * segment + axis], to = curve[2 * next + axis];
      points[2 * k + axis] = static_cast<float>(t >= 1.0 ? to : from + t * (to - from));
    }
  }
}

}  // namespace aster

#endif  // ASTER_C_OPS_CURVE_H_

// Plain C symbols, for ctypes: they are called where there is no graph.
#include "crc32c.h"
#include "curve.h"

extern "C" uint32_t aster_masked_crc32c(const char* data, size_t n) {
  return aster::MaskedCrc32c(data, n);
}

extern "C" void aster_divide_curve(const double* curve, int64_t n, int64_t num_points, float* points) {
  aster::DivideCurve(curve, n, num_points, points);
}

extern "C" int aster_has_gpu_kernels() {
#ifdef ASTER_CUDA
  return 1;
#else
  return 0;
#endif
}

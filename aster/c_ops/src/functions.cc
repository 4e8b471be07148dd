// Plain C symbols, for ctypes: they are called where there is no graph.
#include "crc32c.h"

extern "C" uint32_t aster_masked_crc32c(const char* data, size_t n) {
  return aster::MaskedCrc32c(data, n);
}

extern "C" int aster_has_gpu_kernels() {
#ifdef ASTER_CUDA
  return 1;
#else
  return 0;
#endif
}

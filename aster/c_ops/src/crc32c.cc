// A plain C symbol, for ctypes: it is called where there is no graph.
#include "crc32c.h"

extern "C" uint32_t aster_masked_crc32c(const char* data, size_t n) {
  return aster::MaskedCrc32c(data, n);
}

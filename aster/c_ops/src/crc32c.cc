// The checksum for Python, through ctypes.
#include "crc32c.h"

extern "C" uint32_t aster_masked_crc32c(const char* data, size_t size) { return aster::MaskedCrc32c(data, size); }

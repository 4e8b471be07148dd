// CRC-32C (Castagnoli), as TFRecord files use it. No TensorFlow here.
#ifndef ASTER_C_OPS_CRC32C_H_
#define ASTER_C_OPS_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace aster {

// Eight tables, so that eight bytes are taken at a time ("slicing by 8").
struct Crc32cTables {
  uint32_t table[8][256];
  Crc32cTables() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0u);
      table[0][i] = crc;
    }
    for (int k = 1; k < 8; ++k)
      for (int i = 0; i < 256; ++i) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xFF];
  }
};

inline uint32_t Crc32c(const char* data, size_t size) {
  static const Crc32cTables tables;
  const uint32_t(*t)[256] = tables.table;
  uint32_t crc = 0xFFFFFFFFu;
  for (; size >= 8; data += 8, size -= 8) {
    uint32_t low, high;  // little-endian machines only, as TensorFlow's own files
    std::memcpy(&low, data, 4);
    std::memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = t[7][low & 0xFF] ^ t[6][(low >> 8) & 0xFF] ^ t[5][(low >> 16) & 0xFF] ^ t[4][low >> 24] ^
          t[3][high & 0xFF] ^ t[2][(high >> 8) & 0xFF] ^ t[1][(high >> 16) & 0xFF] ^ t[0][high >> 24];
  }
  for (; size > 0; ++data, --size) crc = (crc >> 8) ^ t[0][(crc ^ static_cast<unsigned char>(*data)) & 0xFF];
  return crc ^ 0xFFFFFFFFu;
}

// The form in which TFRecord files keep it.
inline uint32_t MaskedCrc32c(const char* data, size_t size) {
  const uint32_t crc = Crc32c(data, size);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

}  // namespace aster

#endif  // ASTER_C_OPS_CRC32C_H_

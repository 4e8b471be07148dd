// The checksum of TFRecord files: CRC-32C, masked. Free of TensorFlow.
#ifndef ASTER_C_OPS_CRC32C_H_
#define ASTER_C_OPS_CRC32C_H_

#include <stddef.h>
#include <stdint.h>

namespace aster {

// table[k][b]: the checksum of byte b followed by k zero bytes, so that eight bytes can be taken
// in one step ("slicing by 8").
struct Crc32cTables {
  uint32_t table[8][256];

  Crc32cTables() {
    const uint32_t kPolynomial = 0x82F63B78;  // Castagnoli's, bits reversed
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
      table[0][byte] = crc;
    }
    for (int k = 1; k < 8; ++k) {
      for (int byte = 0; byte < 256; ++byte) {
        const uint32_t crc = table[k - 1][byte];
        table[k][byte] = crc >> 8 ^ table[0][crc & 0xFF];
      }
    }
  }
};

inline uint32_t LittleEndian32(const unsigned char* bytes) {
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

inline uint32_t Crc32c(const char* data, size_t n) {
  static const Crc32cTables tables;
  const uint32_t(*table)[256] = tables.table;
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(data);
  uint32_t crc = 0xFFFFFFFF;
  for (; n >= 8; n -= 8, bytes += 8) {
    const uint32_t low = crc ^ LittleEndian32(bytes);
    crc = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^
          table[4][low >> 24] ^ table[3][bytes[4]] ^ table[2][bytes[5]] ^ table[1][bytes[6]] ^
          table[0][bytes[7]];
  }
  for (; n > 0; --n, ++bytes) crc = crc >> 8 ^ table[0][(crc ^ *bytes) & 0xFF];
  return ~crc;
}

// TFRecord rotates and shifts the checksum, since one of data that holds its own is weak.
inline uint32_t MaskedCrc32c(const char* data, size_t n) {
  const uint32_t crc = Crc32c(data, n);
  return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

}  // namespace aster

#endif  // ASTER_C_OPS_CRC32C_H_

// UTF-8 text by code point, free of TensorFlow.
#ifndef ASTER_C_OPS_UTF8_H_
#define ASTER_C_OPS_UTF8_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace aster {

// Reads one code point at `bytes` (of `size` > 0 bytes) and returns its length, or 0 where the
// bytes are not UTF-8: stray, overlong, cut off, a surrogate, or above U+10FFFF.
inline size_t DecodeOne(const char* bytes, size_t size, uint32_t* code_point) {
  const unsigned char lead = bytes[0];
  if (lead < 0x80) {
    *code_point = lead;
    return 1;
  }
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || size < length) return 0;
  uint32_t value = lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const unsigned char next = bytes[i];
    if ((next & 0xC0) != 0x80) return 0;
    value = value << 6 | (next & 0x3F);
  }
  static const uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return 0;
  }
  *code_point = value;
  return length;
}

// Bytes that are not UTF-8 are dropped, as by Python's bytes.decode("utf-8", "ignore").
inline std::vector<uint32_t> DecodeUtf8(const char* bytes, size_t size) {
  std::vector<uint32_t> code_points;
  code_points.reserve(size);
  for (size_t i = 0; i < size;) {
    uint32_t code_point;
    const size_t length = DecodeOne(bytes + i, size - i, &code_point);
    if (length > 0) code_points.push_back(code_point);
    i += length > 0 ? length : 1;
  }
  return code_points;
}

inline void AppendUtf8(uint32_t code_point, std::string* text) {
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
    return;
  }
  const int tail = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;  // bytes after the lead
  static const uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text->push_back(static_cast<char>(kLead[tail] | code_point >> (6 * tail)));
  for (int i = tail - 1; i >= 0; --i) {
    text->push_back(static_cast<char>(0x80 | (code_point >> (6 * i) & 0x3F)));
  }
}

// Unicode's simple lower-casing, which maps one code point to one, of the scripts that scene text
// is written in: Latin with its accents (Latin-1, Extended-A, the Vietnamese, Pinyin and Romanian
// letters of Extended-B, Extended Additional), Greek (monotonic), Cyrillic, Armenian and
// full-width Latin. Other letters stay as they are.
inline uint32_t LowerCase(uint32_t code_point) {
  struct Range {
    uint32_t first, last;
    int step;  // 2 where upper and lower case letters alternate
    int offset;
  };
  static const Range kRanges[] = {
      {0x0041, 0x005A, 1, 32},   {0x00C0, 0x00D6, 1, 32},    {0x00D8, 0x00DE, 1, 32},
      {0x0100, 0x012E, 2, 1},    {0x0130, 0x0130, 1, -199},  {0x0132, 0x0136, 2, 1},
      {0x0139, 0x0147, 2, 1},    {0x014A, 0x0176, 2, 1},     {0x0178, 0x0178, 1, -121},
      {0x0179, 0x017D, 2, 1},    {0x01A0, 0x01A0, 1, 1},     {0x01AF, 0x01AF, 1, 1},
      {0x01CD, 0x01DB, 2, 1},    {0x0218, 0x021A, 2, 1},     {0x0386, 0x0386, 1, 38},
      {0x0388, 0x038A, 1, 37},   {0x038C, 0x038C, 1, 64},    {0x038E, 0x038F, 1, 63},
      {0x0391, 0x03A1, 1, 32},   {0x03A3, 0x03AB, 1, 32},    {0x0400, 0x040F, 1, 80},
      {0x0410, 0x042F, 1, 32},   {0x0460, 0x0480, 2, 1},     {0x048A, 0x04BE, 2, 1},
      {0x04C0, 0x04C0, 1, 15},   {0x04C1, 0x04CD, 2, 1},     {0x04D0, 0x052E, 2, 1},
      {0x0531, 0x0556, 1, 48},   {0x1E00, 0x1E94, 2, 1},     {0x1E9E, 0x1E9E, 1, -7615},
      {0x1EA0, 0x1EFE, 2, 1},    {0xFF21, 0xFF3A, 1, 32},
  };
  for (const Range& range : kRanges) {
    if (code_point < range.first) break;  // the ranges are in order
    if (code_point <= range.last) {
      const bool upper = (code_point - range.first) % range.step == 0;
      return upper ? code_point + range.offset : code_point;
    }
  }
  return code_point;
}

}  // namespace aster

#endif  // ASTER_C_OPS_UTF8_H_

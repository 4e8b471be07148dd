// UTF-8 text by code point. No TensorFlow here.
#ifndef ASTER_C_OPS_UTF8_H_
#define ASTER_C_OPS_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace aster {

// The code points of a text; bytes that are not valid UTF-8 are left out.
inline std::vector<uint32_t> DecodeUtf8(const char* data, size_t size) {
  std::vector<uint32_t> points;
  size_t i = 0;
  while (i < size) {
    const unsigned char lead = data[i];
    const int length = lead < 0x80 ? 1 : lead >= 0xF5 ? 0 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
    bool valid = length > 0 && i + length <= size;
    uint32_t point = length == 1 ? lead : lead & (0x7F >> length);
    for (int k = 1; valid && k < length; ++k) {
      const unsigned char next = data[i + k];
      valid = (next & 0xC0) == 0x80;
      point = (point << 6) | (next & 0x3F);
    }
    // overlong forms, surrogates and what lies beyond Unicode
    valid = valid && !(length == 3 && point < 0x800) && !(length == 4 && (point < 0x10000 || point > 0x10FFFF)) &&
            !(point >= 0xD800 && point <= 0xDFFF);
    if (valid) points.push_back(point);
    i += valid ? length : 1;
  }
  return points;
}

inline void AppendUtf8(uint32_t point, std::string* text) {
  if (point < 0x80) {
    text->push_back(static_cast<char>(point));
    return;
  }
  const int length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  const uint32_t mark = length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0;
  text->push_back(static_cast<char>(mark | (point >> (6 * (length - 1)))));
  for (int k = length - 2; k >= 0; --k) text->push_back(static_cast<char>(0x80 | ((point >> (6 * k)) & 0x3F)));
}

// Lower case of one letter in ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; others stay as they are.
inline uint32_t ToLower(uint32_t c) {
  if (c >= 'A' && c <= 'Z') return c + 32;
  if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
  if (c == 0x130) return 'i';
  if (c == 0x178) return 0xFF;
  // pairs: upper case even, or odd where the pairs are shifted by one
  if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 ? c + 1 : c;
  if (c == 0x386) return 0x3AC;
  if (c >= 0x388 && c <= 0x38A) return c + 37;
  if (c == 0x38C) return 0x3CC;
  if (c == 0x38E || c == 0x38F) return c + 63;
  if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (c >= 0x410 && c <= 0x42F) return c + 32;
  if (c == 0x4C0) return 0x4CF;
  if (c >= 0x4C1 && c <= 0x4CE) return c % 2 ? c + 1 : c;
  if ((c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F)) return c | 1;
  return c;
}

}  // namespace aster

#endif  // ASTER_C_OPS_UTF8_H_

// Reads a tf.train.Example, and the headers of JPEG and PNG files, without copying.
//
// What is not as expected is left to Python, which knows all cases and has the messages. So these functions answer
// "no" wherever they are not sure.
#ifndef ASTER_C_OPS_RECORD_H_
#define ASTER_C_OPS_RECORD_H_

#include <stdint.h>
#include <string.h>

#include <cmath>
#include <string>
#include <vector>

#include "curve.h"

namespace aster {

// Bytes that belong to somebody else.
struct Bytes {
  explicit Bytes(const char* data = nullptr, uint64_t size = 0) : data(data), size(size) {}
  const char* data;
  uint64_t size;
};

inline bool Equals(const Bytes& bytes, const char* text) {
  return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

inline bool EndsWith(const Bytes& bytes, const char* end, uint64_t size) {
  return bytes.size >= size && memcmp(bytes.data + bytes.size - size, end, size) == 0;
}

inline bool IsAscii(const Bytes& bytes) {
  for (uint64_t i = 0; i < bytes.size; ++i) {
    if (static_cast<unsigned char>(bytes.data[i]) >= 128) return false;
  }
  return true;
}

// Takes a number off the front of a protocol buffer message.
inline bool TakeVarint(Bytes* from, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (!from->size) return false;
    const unsigned char byte = *from->data;
    ++from->data, --from->size;
    *value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

// Takes a field off the front of a message: its number, and what it contains. Only fields of bytes or messages.
inline bool TakeField(Bytes* from, uint64_t* number, Bytes* value) {
  uint64_t tag;
  if (!TakeVarint(from, &tag) || (tag & 7) != 2 || !TakeVarint(from, &value->size) || value->size > from->size) {
    return false;
  }
  *number = tag >> 3;
  value->data = from->data;
  from->data += value->size, from->size -= value->size;
  return true;
}

// Takes the only field of a message, which must have this number.
inline bool TakeOnlyField(Bytes from, uint64_t number, Bytes* value) {
  uint64_t found;
  return TakeField(&from, &found, value) && found == number && !from.size;
}

// What a record says of an image. A feature that it lacks has null data.
struct Record {
  Bytes encoded, text, lexicon, filename, keypoints;  // keypoints: floats, little endian
};

// Reads a tf.train.Example, which is: features (1): many entries (1) of a key (1) and a feature (2), which is
// bytes_list (1), float_list (2) or int64_list (3): many values (1). Returns false unless it is as tools/ write it.
inline bool ParseRecord(Bytes example, Record* record) {
  Bytes features;
  if (!TakeOnlyField(example, 1, &features)) return false;
  while (features.size) {
    uint64_t number;
    Bytes entry, key, feature, list, value;
    if (!TakeField(&features, &number, &entry) || number != 1) return false;
    if (!TakeField(&entry, &number, &key) || number != 1 || !IsAscii(key)) return false;
    if (!TakeOnlyField(entry, 2, &feature)) return false;
    const bool is_floats = Equals(key, "image/keypoints");
    Bytes* target = Equals(key, "image/encoded")      ? &record->encoded
                    : Equals(key, "image/transcript") ? &record->text
                    : Equals(key, "image/lexicon")    ? &record->lexicon
                    : Equals(key, "image/filename")   ? &record->filename
                    : is_floats                       ? &record->keypoints
                                                      : nullptr;
    if (!target) continue;
    if (target->data || !TakeOnlyField(feature, is_floats ? 2 : 1, &list) || !TakeOnlyField(list, 1, &value)) {
      return false;
    }
    *target = value;
  }
  return record->encoded.data && record->text.data;
}

// Points further away than this, in pixels, are a mistake of the annotation.
const float kFarthestKeypoint = 1e5f;

// Computes control points from key points: half of them along the top edge, the others along the bottom edge, as
// fractions of width and height. Returns false where the key points can't be used.
inline bool ControlPoints(const Bytes& keypoints, int64_t height, int64_t width, int64_t num_points, float* points) {
  std::vector<float> values(keypoints.size / 4);
  if (keypoints.size % 16 != 0 || values.size() < 8) return false;
  memcpy(values.data(), keypoints.data, keypoints.size);
  for (float value : values) {
    if (!(std::fabs(value) < kFarthestKeypoint)) return false;  // NaN is not near
  }
  const std::vector<double> curves(values.begin(), values.end());
  const int64_t half = values.size() / 4;  // points of an edge
  DivideCurve(curves.data(), half, num_points / 2, points);
  DivideCurve(curves.data() + 2 * half, half, num_points / 2, points + num_points);
  for (int64_t i = 0; i < num_points; ++i) {
    points[2 * i] /= static_cast<float>(width);
    points[2 * i + 1] /= static_cast<float>(height);
  }
  return true;
}

inline uint32_t BigEndian(const char* data, int num_bytes) {
  uint32_t value = 0;
  for (int i = 0; i < num_bytes; ++i) value = value << 8 | static_cast<unsigned char>(data[i]);
  return value;
}

inline bool IsSizeUpTo(uint64_t max_pixels, uint64_t height, uint64_t width) {
  return height && width && height * width <= max_pixels;
}

// Whether this is a JPEG file of 8 bits, gray or of three channels, that has its end.
inline bool IsPlainJpeg(Bytes file, uint64_t max_pixels) {
  if (file.size < 4 || memcmp(file.data, "\xff\xd8\xff", 3) != 0 || !EndsWith(file, "\xff\xd9", 2)) return false;
  uint64_t place = 2;
  while (place + 4 <= file.size && file.data[place] == '\xff') {
    const unsigned char marker = file.data[place + 1];
    const uint64_t length = BigEndian(file.data + place + 2, 2);
    const char* segment = file.data + place + 4;
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xda) || marker == 0xff || length < 2) return false;
    if (place + 2 + length > file.size) return false;
    if (marker >= 0xc0 && marker <= 0xc2) {  // the frame's header: bits, height, width, channels
      return length >= 8 && segment[0] == 8 && (segment[5] == 1 || segment[5] == 3) &&
             IsSizeUpTo(max_pixels, BigEndian(segment + 1, 2), BigEndian(segment + 3, 2));
    }
    place += 2 + length;
  }
  return false;
}

// Whether this is a PNG file of 8 bits, gray or RGB, without transparency and animation, that has its end.
inline bool IsPlainPng(Bytes file, uint64_t max_pixels) {
  if (file.size < 33 || memcmp(file.data, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) != 0 || !EndsWith(file, "IEND\xae\x42\x60\x82", 8)) return false;
  const char* header = file.data + 16;  // width, height, bits, kind of color
  if (header[8] != 8 || (header[9] != 0 && header[9] != 2) ||
      !IsSizeUpTo(max_pixels, BigEndian(header + 4, 4), BigEndian(header, 4))) {
    return false;
  }
  uint64_t place = 33;
  while (place + 12 <= file.size) {
    const char* name = file.data + place + 4;
    if (memcmp(name, "IDAT", 4) == 0) return true;
    if (memcmp(name, "tRNS", 4) == 0 || memcmp(name, "acTL", 4) == 0) return false;
    place += 12 + static_cast<uint64_t>(BigEndian(file.data + place, 4));
  }
  return false;
}

// Filters a text by a table of the ASCII characters: what each becomes, 0 where it is left out, 255 where Python has
// to decide. Returns false if Python has to, or nothing is left.
inline bool FilterText(const Bytes& text, const char* table, std::string* filtered) {
  for (uint64_t i = 0; i < text.size; ++i) {
    const unsigned char letter = text.data[i], to = letter < 128 ? table[letter] : 255;
    if (to == 255) return false;
    if (to) filtered->push_back(static_cast<char>(to));
  }
  return !filtered->empty();
}

}  // namespace aster

#endif  // ASTER_C_OPS_RECORD_H_

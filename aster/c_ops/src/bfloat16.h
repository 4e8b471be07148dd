// bfloat16 numbers, which are the upper halves of floats. TensorFlow 1.4's own type can't be turned into a float.
#ifndef ASTER_C_OPS_BFLOAT16_H_
#define ASTER_C_OPS_BFLOAT16_H_

#include <cstdint>

#ifdef __CUDACC__
#define ASTER_EVERYWHERE __host__ __device__
#else
#define ASTER_EVERYWHERE
#endif

namespace aster {

struct Bfloat16 { uint16_t bits; };

ASTER_EVERYWHERE inline float ToFloat(float x) { return x; }
ASTER_EVERYWHERE inline float ToFloat(Bfloat16 x) {
  union { uint32_t bits; float value; } wide;
  wide.bits = static_cast<uint32_t>(x.bits) << 16;
  return wide.value;
}

ASTER_EVERYWHERE inline void FromFloat(float x, float* to) { *to = x; }
// Rounds to the nearest one, and from the middle to that whose last bit is 0.
ASTER_EVERYWHERE inline void FromFloat(float x, Bfloat16* to) {
  union { float value; uint32_t bits; } wide;
  wide.value = x;
  const uint32_t to_nearest = 0x7fff + ((wide.bits >> 16) & 1);
  to->bits = x != x ? 0x7fc0 : (wide.bits + to_nearest) >> 16;
}

}  // namespace aster

#endif  // ASTER_C_OPS_BFLOAT16_H_

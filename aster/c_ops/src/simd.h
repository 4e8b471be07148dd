// Vectors as wide as the processor's, without intrinsics, free of TensorFlow.
#ifndef ASTER_C_OPS_SIMD_H_
#define ASTER_C_OPS_SIMD_H_

#include <cmath>

// What a body below calls must become part of it, since only then is it compiled for its processor.
#define ASTER_INLINE inline __attribute__((always_inline))

namespace aster {

template <typename T, int kBytes>
struct Lanes {
  typedef T Type __attribute__((vector_size(kBytes), aligned(sizeof(T)), may_alias));
  static const int kCount = kBytes / sizeof(T);
};

// Bytes in a vector of the processor that runs this.
inline int VectorBytes() {
#if defined(__x86_64__)
  static const int bytes = __builtin_cpu_supports("avx512f") ? 64
      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 32 : 16;
  return bytes;
#else
  return 16;
#endif
}

#if defined(__x86_64__)
template <typename Body>
__attribute__((target("avx512f"))) void RunAvx512(const Body& body) {
  body.template Run<64>();
}

template <typename Body>
__attribute__((target("avx2,fma"))) void RunAvx2(const Body& body) {
  body.template Run<32>();
}
#endif

// Calls body.Run<VectorBytes()>(), compiled for this processor; Run must be ASTER_INLINE.
template <typename Body>
void RunOnThisProcessor(const Body& body) {
#if defined(__x86_64__)
  if (VectorBytes() == 64) return RunAvx512(body);
  if (VectorBytes() == 32) return RunAvx2(body);
#endif
  body.template Run<16>();
}

// The hyperbolic tangent of a float, or of each float of a vector: a rational function, at most
// 3e-7 off. Not a number stays so.
template <typename V>
ASTER_INLINE V TanhOfFloats(V x) {
  const V limit = V() + 7.90531110763549805f;
  x = x > limit ? limit : x;
  x = x < -limit ? -limit : x;
  const V s = x * x;
  V p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  V q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return x * p / q;
}

ASTER_INLINE float TanhOf(float x) { return TanhOfFloats(x); }
ASTER_INLINE double TanhOf(double x) { return std::tanh(x); }

// Tanh<T, kBytes>::Of(vector): of floats by the above, of doubles exactly.
template <typename T, int kBytes>
struct Tanh {
  typedef typename Lanes<T, kBytes>::Type V;
  static ASTER_INLINE V Of(V x) { return TanhOfFloats(x); }
};

template <int kBytes>
struct Tanh<double, kBytes> {
  typedef typename Lanes<double, kBytes>::Type V;
  static ASTER_INLINE V Of(V x) {
    for (int i = 0; i < Lanes<double, kBytes>::kCount; ++i) x[i] = std::tanh(x[i]);
    return x;
  }
};

}  // namespace aster

#endif  // ASTER_C_OPS_SIMD_H_

// What the .cu files offer to the ops. All pointers are to the GPU's memory, shapes as in the CPU's headers;
// each function starts its kernels on `stream` and returns a CUDA error, 0 where there is none.
#ifndef ASTER_C_OPS_GPU_H_
#define ASTER_C_OPS_GPU_H_

#include <cstddef>
#include <cstdint>

#include "bfloat16.h"

struct CUstream_st;

namespace aster {
namespace gpu {

typedef CUstream_st* Stream;

const char* ErrorText(int error);

// images [B, H, W, C], grid [B, P, 2], samples [B, P, C].
struct SampleShape {
  int64_t batch, height, width, channels, points;
};
template <typename T>
int BilinearSample(Stream stream, const SampleShape& shape, const T* images, const T* grid, T* samples);
template <typename T>
int BilinearSampleGridGradient(Stream stream, const SampleShape& shape, const T* images, const T* grid,
                               const T* d_samples, T* d_grid);
template <typename T>
int BilinearSampleImageGradient(Stream stream, const SampleShape& shape, const T* grid, const T* d_samples,
                                T* d_images);

// points [B, K, 2], inverse [K, C], lift [C, P], grid [B, P, 2]; K and C are aster::kFewestTerms or more.
struct SplineShape {
  static const int kMostCoefficients = 1024;
  int batch, num_points, coefficients, pixels;
};
// Bit for bit what aster::OrderedProduct gives.
int SplineGrid(Stream stream, const SplineShape& shape, const float* points, const float* inverse, const float* lift,
               float* grid);

// x [R, C]; C is at least 1, R too.
struct NormShape {
  int64_t rows;
  int channels;
  float epsilon;
  bool relu;
};
// y = (x - mean) * inverse * scale + offset, then a ReLU where there is one. Of each channel: the mean, the variance
// with R - 1 for R, and inverse = 1 / sqrt(variance with R + epsilon). T is float or Bfloat16.
template <typename T>
int BatchNorm(Stream stream, const NormShape& shape, const T* x, const float* scale, const float* offset, T* y,
              float* mean, float* variance, float* inverse, float* scratch);
template <typename T>
int BatchNormGradient(Stream stream, const NormShape& shape, const T* d_y, const T* x, const float* scale,
                      const float* offset, const float* mean, const float* inverse, T* d_x, float* d_scale,
                      float* d_offset, float* scratch);
// Floats in the `scratch` of both.
int64_t BatchNormScratch(const NormShape& shape);

// Like aster::Sizes, of a kind that a kernel can take.
struct AttentionShape {
  static const int kMostMemories = 8;
  int steps, batch, units, attention_units, num_memories;
  int lengths[kMostMemories];
  int num_values;  // the sum of lengths
  float forget_bias;
  bool attend_first, reverse;
};
template <typename T>
int AttentionLstm(Stream stream, const AttentionShape& shape, const T* inputs, const T* state_kernel, const T* keys,
                  const T* values, const T* v, T* h, T* c, T* gates, T* queries, T* alignments);
// `transposed` is scratch of the state kernel's size.
template <typename T>
int AttentionLstmGradient(Stream stream, const AttentionShape& shape, const T* state_kernel, const T* keys,
                          const T* values, const T* v, const T* c, const T* gates, const T* queries,
                          const T* alignments, const T* d_h, T* d_projection, T* d_keys, T* d_v, T* transposed,
                          T* scratch);
// Values of T in AttentionLstmGradient's `scratch`.
size_t AttentionLstmGradientScratch(const AttentionShape& shape);

struct SearchShape {
  AttentionShape attention;  // its steps are the most that a text may have
  int beam_width, num_labels, start_label, end_label;
};
// Like aster::Tree; without `starts` any text can be decoded.
struct SearchTree {
  const int32_t *starts, *labels, *nodes;
  int most_edges;  // of a node
};
// The best hypotheses: lengths [B], scores [B], and with room for all steps S labels [B, S], log_probs [B, S],
// alignments [B, S, T]; what lies after a hypothesis's end is left as it was.
template <typename T>
int BeamSearch(Stream stream, const SearchShape& shape, const SearchTree& tree, const T* label_inputs,
               const T* state_kernel, const T* keys, const T* values, const T* v, const T* dense_kernel,
               const T* dense_bias, int32_t* lengths, T* scores, int32_t* labels, T* log_probs, T* alignments,
               void* scratch);
// Bytes of BeamSearch's `scratch`.
template <typename T>
size_t BeamSearchScratch(const SearchShape& shape);
// Copies from the processor's memory, which may change afterwards.
int Upload(Stream stream, const void* from, size_t bytes, void* to);
// Waits for `lengths` -> the longest.
int LongestText(Stream stream, const int32_t* lengths, int batch, int* longest);
// Copies results of BeamSearch to those with room for `longest` steps, padded with pad_label and zeros.
template <typename T>
int TrimTexts(Stream stream, const SearchShape& shape, int longest, int32_t pad_label, const int32_t* lengths,
              const T* scores, const int32_t* labels, const T* log_probs, const T* alignments,
              int32_t* trimmed_lengths, T* trimmed_scores, int32_t* trimmed_labels, T* trimmed_log_probs,
              T* trimmed_alignments);

}  // namespace gpu
}  // namespace aster

#endif  // ASTER_C_OPS_GPU_H_

// The GPU's kernels and what a test needs of CUDA, for ctypes. All kernels in one library, without TensorFlow.
#include <vector>

#include "../../aster/c_ops/src/attention_lstm.cu"
#include "../../aster/c_ops/src/batch_norm.cu"
#include "../../aster/c_ops/src/beam_search.cu"
#include "../../aster/c_ops/src/bilinear_sample.cu"
#include "../../aster/c_ops/src/spline_grid.cu"
#include "../../aster/c_ops/src/spline_grid.h"

using namespace aster::gpu;

extern "C" {

void* Allocate(size_t size) {
  void* pointer = nullptr;
  return cudaMalloc(&pointer, size) == 0 ? pointer : nullptr;
}
int Free(void* pointer) { return cudaFree(pointer); }
int Fill(void* pointer, int byte, size_t size) { return cudaMemset(pointer, byte, size); }
int Upload(void* to, const void* from, size_t size) { return cudaMemcpy(to, from, size, cudaMemcpyHostToDevice); }
int Download(void* to, const void* from, size_t size) { return cudaMemcpy(to, from, size, cudaMemcpyDeviceToHost); }
int Copy(void* to, const void* from, size_t size) { return cudaMemcpy(to, from, size, cudaMemcpyDeviceToDevice); }
int Synchronize() { return cudaDeviceSynchronize(); }
const char* Explain(int error) { return ErrorText(error); }

size_t GradientScratch(const AttentionShape* shape) { return AttentionLstmGradientScratch(*shape); }

int Spline_float32(const SplineShape* shape, const float* points, const float* inverse, const float* lift, float* grid) {
  return SplineGrid(nullptr, *shape, points, inverse, lift, grid);
}
// What the CPU gives: all pointers are to its own memory.
void SplineOnCpu(const SplineShape* shape, const float* points, const float* inverse, const float* lift, float* grid) {
  std::vector<float> coefficients(2 * shape->coefficients);
  for (int i = 0; i < shape->batch; ++i) {
    aster::OrderedProduct(inverse, shape->coefficients, shape->num_points, shape->coefficients,
                          points + 2 * i * shape->num_points, coefficients.data());
    aster::OrderedProduct(lift, shape->pixels, shape->coefficients, shape->coefficients, coefficients.data(),
                          grid + 2 * i * shape->pixels);
  }
}

#define EXPORT(T, suffix)                                                                                          \
  int Sample_##suffix(const SampleShape* shape, const T* images, const T* grid, T* samples) {                      \
    return BilinearSample<T>(nullptr, *shape, images, grid, samples);                                              \
  }                                                                                                                \
  int SampleGridGradient_##suffix(const SampleShape* shape, const T* images, const T* grid, const T* d_samples,    \
                                  T* d_grid) {                                                                     \
    return BilinearSampleGridGradient<T>(nullptr, *shape, images, grid, d_samples, d_grid);                        \
  }                                                                                                                \
  int SampleImageGradient_##suffix(const SampleShape* shape, const T* grid, const T* d_samples, T* d_images) {     \
    return BilinearSampleImageGradient<T>(nullptr, *shape, grid, d_samples, d_images);                             \
  }                                                                                                                \
  int Lstm_##suffix(const AttentionShape* shape, const T* inputs, const T* state_kernel, const T* keys,            \
                    const T* values, const T* v, T* h, T* c, T* gates, T* queries, T* alignments) {                \
    return AttentionLstm<T>(nullptr, *shape, inputs, state_kernel, keys, values, v, h, c, gates, queries,          \
                            alignments);                                                                           \
  }                                                                                                                \
  int LstmGradient_##suffix(const AttentionShape* shape, const T* state_kernel, const T* keys, const T* values,    \
                            const T* v, const T* c, const T* gates, const T* queries, const T* alignments,         \
                            const T* d_h, T* d_projection, T* d_keys, T* d_v, T* transposed, T* scratch) {         \
    return AttentionLstmGradient<T>(nullptr, *shape, state_kernel, keys, values, v, c, gates, queries, alignments, \
                                    d_h, d_projection, d_keys, d_v, transposed, scratch);                          \
  }                                                                                                                \
  size_t SearchScratch_##suffix(const SearchShape* shape) { return BeamSearchScratch<T>(*shape); }                 \
  int Search_##suffix(const SearchShape* shape, const SearchTree* tree, const T* label_inputs,                     \
                      const T* state_kernel, const T* keys, const T* values, const T* v, const T* dense_kernel,    \
                      const T* dense_bias, int32_t* lengths, T* scores, int32_t* labels, T* log_probs,             \
                      T* alignments, void* scratch) {                                                              \
    return BeamSearch<T>(nullptr, *shape, *tree, label_inputs, state_kernel, keys, values, v, dense_kernel,        \
                         dense_bias, lengths, scores, labels, log_probs, alignments, scratch);                     \
  }                                                                                                                \
  int Trim_##suffix(const SearchShape* shape, int longest, int32_t pad_label, const int32_t* lengths,              \
                    const T* scores, const int32_t* labels, const T* log_probs, const T* alignments,               \
                    int32_t* trimmed_lengths, T* trimmed_scores, int32_t* trimmed_labels, T* trimmed_log_probs,    \
                    T* trimmed_alignments) {                                                                       \
    return TrimTexts<T>(nullptr, *shape, longest, pad_label, lengths, scores, labels, log_probs, alignments,       \
                        trimmed_lengths, trimmed_scores, trimmed_labels, trimmed_log_probs, trimmed_alignments);   \
  }
EXPORT(float, float32)
EXPORT(double, float64)

#define EXPORT_NORM(T, suffix)                                                                                       \
  int Norm_##suffix(const NormShape* shape, const T* x, const float* scale, const float* offset, T* y, float* mean,  \
                    float* variance, float* inverse, float* scratch) {                                               \
    return BatchNorm<T>(nullptr, *shape, x, scale, offset, y, mean, variance, inverse, scratch);                     \
  }                                                                                                                  \
  int NormGradient_##suffix(const NormShape* shape, const T* d_y, const T* x, const float* scale,                    \
                            const float* offset, const float* mean, const float* inverse, T* d_x, float* d_scale,    \
                            float* d_offset, float* scratch) {                                                       \
    return BatchNormGradient<T>(nullptr, *shape, d_y, x, scale, offset, mean, inverse, d_x, d_scale, d_offset,       \
                                scratch);                                                                            \
  }
EXPORT_NORM(float, float32)
EXPORT_NORM(aster::Bfloat16, uint16)
size_t NormScratch(const NormShape* shape) { return BatchNormScratch(*shape); }

int Longest(const int32_t* lengths, int batch, int* longest) { return LongestText(nullptr, lengths, batch, longest); }

}  // extern "C"

// An LSTM with additive attention, over a whole sequence, free of TensorFlow.
//
// Only what depends on the last step is here. Products that don't depend on the state (inputs, keys, values), and the
// sums over time that make the weights' gradients, are large matrix products; TensorFlow makes those (see ops.py).
#ifndef ASTER_C_OPS_ATTENTION_LSTM_H_
#define ASTER_C_OPS_ATTENTION_LSTM_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "matmul.h"
#include "simd.h"

namespace aster {

// Sizes of a batch: S steps, B samples, U units, N attentions of A units over memories of T entries together.
struct Sizes {
  int64_t steps = 0, batch = 0, units = 0, attention_units = 0;
  std::vector<int64_t> lengths;  // of the N memories; their sum is T
  float forget_bias = 0;
  bool attend_first = true;  // whether the first step gets a glimpse
  bool reverse = false;      // whether the steps go from the last to the first

  // The row, among the S of each of the B samples, of a sample's step number `step` in the order of the steps.
  int64_t row(int64_t sample, int64_t step) const { return sample * steps + (reverse ? steps - 1 - step : step); }
  int64_t num_values() const {
    int64_t sum = 0;
    for (int64_t length : lengths) sum += length;
    return sum;
  }
  int64_t gates() const { return 4 * units; }
  int64_t queries() const { return lengths.size() * attention_units; }
  int64_t projection() const { return gates() + queries(); }  // of the state: gates, then queries
};

// scores[j] = v . tanh(keys[j] + query), for `length` keys of `units`.
template <typename T, int kBytes>
ASTER_INLINE void AttentionScores(const T* keys, const T* query, const T* v, int64_t length, int64_t units,
                                  T* scores) {
  typedef typename Lanes<T, kBytes>::Type V;
  const int kCount = Lanes<T, kBytes>::kCount;
  for (int64_t j = 0; j < length; ++j, keys += units) {
    V sum = V{};
    int64_t i = 0;
    for (; i + kCount <= units; i += kCount) {
      const V x = *reinterpret_cast<const V*>(keys + i) + *reinterpret_cast<const V*>(query + i);
      sum += *reinterpret_cast<const V*>(v + i) * Tanh<T, kBytes>::Of(x);
    }
    T total = 0;
    for (; i < units; ++i) total += v[i] * TanhOf(keys[i] + query[i]);
    for (int n = 0; n < kCount; ++n) total += sum[n];
    scores[j] = total;
  }
}

template <typename T>
ASTER_INLINE void Softmax(T* scores, int64_t length) {
  T highest = scores[0], sum = 0;
  for (int64_t j = 1; j < length; ++j) highest = std::max(highest, scores[j]);
  for (int64_t j = 0; j < length; ++j) sum += scores[j] = std::exp(scores[j] - highest);
  for (int64_t j = 0; j < length; ++j) scores[j] /= sum;
}

// Attends over the memories of one sample (keys [T, A], values [T, 4U]) and adds the glimpse to `gates` [4U]. The
// values are the memory times the kernel of the gates, so that their weighted sum is what the glimpse gives to them.
template <typename T, int kBytes>
ASTER_INLINE void AddGlimpse(const Sizes& sizes, const T* keys, const T* values, const T* v, const T* queries,
                             T* alignments, T* gates) {
  const int64_t units = sizes.attention_units, num_gates = sizes.gates();
  for (int64_t length : sizes.lengths) {
    AttentionScores<T, kBytes>(keys, queries, v, length, units, alignments);
    Softmax(alignments, length);
    for (int64_t j = 0; j < length; ++j, values += num_gates) {
      const T alignment = alignments[j];
      for (int64_t i = 0; i < num_gates; ++i) gates[i] += alignment * values[i];
    }
    keys += length * units;
    alignments += length;
    queries += units;
    v += units;
  }
}

// One step of the cell. gates [4U]: the pre-activations of i, j, f, o, which become their activations. c, h [U]: the
// new state. In vectors sigmoid(x) is tanh(x / 2) / 2 + 1/2, so that one fast approximation serves both functions; the
// units that don't fill a vector are computed one by one.
template <typename T, int kBytes>
ASTER_INLINE void LstmCell(int64_t units, T forget_bias, const T* last_c, T* gates, T* c, T* h) {
  typedef typename Lanes<T, kBytes>::Type V;
  const int kCount = Lanes<T, kBytes>::kCount;
  T *i = gates, *j = gates + units, *f = gates + 2 * units, *o = gates + 3 * units;
  int64_t n = 0;
  for (; n + kCount <= units; n += kCount) {
    V *in = reinterpret_cast<V*>(i + n), *candidate = reinterpret_cast<V*>(j + n);
    V *forget = reinterpret_cast<V*>(f + n), *out = reinterpret_cast<V*>(o + n);
    const T half = 0.5;
    *in = Tanh<T, kBytes>::Of(*in * half) * half + half;
    *candidate = Tanh<T, kBytes>::Of(*candidate);
    *forget = Tanh<T, kBytes>::Of((*forget + forget_bias) * half) * half + half;
    *out = Tanh<T, kBytes>::Of(*out * half) * half + half;
    const V next = *forget * *reinterpret_cast<const V*>(last_c + n) + *in * *candidate;
    *reinterpret_cast<V*>(c + n) = next;
    *reinterpret_cast<V*>(h + n) = *out * Tanh<T, kBytes>::Of(next);
  }
  for (; n < units; ++n) {
    i[n] = 1 / (1 + std::exp(-i[n]));
    j[n] = TanhOf(j[n]);
    f[n] = 1 / (1 + std::exp(-f[n] - forget_bias));
    o[n] = 1 / (1 + std::exp(-o[n]));
    c[n] = f[n] * last_c[n] + i[n] * j[n];
    h[n] = o[n] * TanhOf(c[n]);
  }
}

// The whole sequence for samples [begin, end): RunOnThisProcessor(AttentionLstm<T>{...}).
template <typename T>
struct AttentionLstm {
  const Sizes& sizes;
  const PackedMatrix<T>& state_kernel;  // [U, 4U + N A]
  const T *inputs;                      // [B, S, 4U], biases included
  const T *keys, *values, *v;           // [B, T, A], [B, T, 4U], [N, A]
  // Results: [B, S, U], [B, S, U], [B, S, 4U] activated, [B, S, N A], [B, S, T].
  T *h, *c, *gates, *queries, *alignments;
  int64_t begin, end;

  template <int kBytes>
  ASTER_INLINE void Run() const {
    const int64_t units = sizes.units, num_gates = sizes.gates();
    const int64_t num_queries = sizes.queries(), num_values = sizes.num_values();
    const int64_t width = sizes.projection(), count = end - begin;
    // All samples make a step together, so that one product serves them all. Before the first step the state is zero,
    // and so is its projection.
    std::vector<T> projection(count * width), zeros(units);
    for (int64_t t = 0; t < sizes.steps; ++t) {
      if (t > 0)
        Multiply<T, kBytes>(h + sizes.row(begin, t - 1) * units, sizes.steps * units, count, state_kernel,
                            projection.data());
      for (int64_t b = 0; b < count; ++b) {
        const int64_t sample = begin + b, row = sizes.row(sample, t);
        const T *projected = &projection[b * width], *input = inputs + row * num_gates;
        T* sums = gates + row * num_gates;
        for (int64_t n = 0; n < num_gates; ++n) sums[n] = input[n] + projected[n];
        std::copy(projected + num_gates, projected + width, queries + row * num_queries);
        if (t > 0 || sizes.attend_first) {
          AddGlimpse<T, kBytes>(sizes, keys + sample * num_values * sizes.attention_units,
                                values + sample * num_values * num_gates, v, projected + num_gates,
                                alignments + row * num_values, sums);
        } else {
          std::fill_n(alignments + row * num_values, num_values, T(0));
        }
        LstmCell<T, kBytes>(units, sizes.forget_bias, t > 0 ? c + sizes.row(sample, t - 1) * units : zeros.data(), sums,
                            c + row * units, h + row * units);
      }
    }
  }
};

// The gradients of AttentionLstm for samples [begin, end), by going back through the steps.
template <typename T>
struct AttentionLstmGradient {
  const Sizes& sizes;
  const PackedMatrix<T>& transposed_state_kernel;  // [4U + N A, U]
  const T *keys, *values, *v;
  const T *c, *gates, *queries, *alignments;  // as AttentionLstm left them
  const T *d_h;                               // [B, S, U]
  // Results: gradients of the state's projection [B, S, 4U + N A] (the inputs' are its first 4U), of the
  // keys [B, T, A] and, sample by sample, of v [B, N A].
  T *d_projection, *d_keys, *d_v;
  int64_t begin, end;

  template <int kBytes>
  ASTER_INLINE void Run() const {
    const int64_t units = sizes.units, count = end - begin;
    const int64_t num_values = sizes.num_values(), width = sizes.projection();
    std::fill_n(d_keys + begin * num_values * sizes.attention_units, count * num_values * sizes.attention_units, T(0));
    std::fill_n(d_v + begin * sizes.queries(), count * sizes.queries(), T(0));
    // Between two steps go back: the gradients of h (from the projection of the later step) and of c.
    std::vector<T> d_h_of_later(count * units), d_c(count * units), zeros(units), d_alignments(num_values);
    for (int64_t t = sizes.steps - 1; t >= 0; --t) {
      for (int64_t b = 0; b < count; ++b) {
        const int64_t row = sizes.row(begin + b, t);
        T* out = d_projection + row * width;
        CellGradient(gates + row * sizes.gates(), c + row * units,
                     t > 0 ? c + sizes.row(begin + b, t - 1) * units : zeros.data(), d_h + row * units,
                     &d_h_of_later[b * units], &d_c[b * units], out);
        T* d_queries = out + sizes.gates();
        std::fill_n(d_queries, sizes.queries(), T(0));
        if (t > 0 || sizes.attend_first) GlimpseGradient<kBytes>(row, begin + b, out, d_queries, d_alignments.data());
      }
      Multiply<T, kBytes>(d_projection + sizes.row(begin, t) * width, sizes.steps * width, count,
                          transposed_state_kernel, d_h_of_later.data());
    }
  }

  // Writes the gradients of the pre-activations [4U] to `d_gates`. d_c is that of c, and becomes that of last_c.
  ASTER_INLINE void CellGradient(const T* gates, const T* c, const T* last_c, const T* d_h, const T* d_h_of_later,
                                 T* d_c, T* d_gates) const {
    const int64_t units = sizes.units;
    const T *i = gates, *j = gates + units, *f = gates + 2 * units, *o = gates + 3 * units;
    for (int64_t n = 0; n < units; ++n) {
      const T d_output = d_h[n] + d_h_of_later[n];
      const T tanh_c = TanhOf(c[n]);
      const T d_cell = d_c[n] + d_output * o[n] * (1 - tanh_c * tanh_c);
      d_gates[n] = d_cell * j[n] * i[n] * (1 - i[n]);
      d_gates[units + n] = d_cell * i[n] * (1 - j[n] * j[n]);
      d_gates[2 * units + n] = d_cell * last_c[n] * f[n] * (1 - f[n]);
      d_gates[3 * units + n] = d_output * tanh_c * o[n] * (1 - o[n]);
      d_c[n] = d_cell * f[n];
    }
  }

  // Writes the gradients of a step's queries, and adds to those of the sample's keys and of v. It computes the tanh of
  // keys and query again: to keep it from the forward pass would take S T A values per sample.
  template <int kBytes>
  ASTER_INLINE void GlimpseGradient(int64_t row, int64_t sample, const T* d_gates, T* d_queries,
                                    T* d_alignments) const {
    typedef typename Lanes<T, kBytes>::Type V;
    const int kCount = Lanes<T, kBytes>::kCount;
    const int64_t num_values = sizes.num_values(), num_gates = sizes.gates(), units = sizes.attention_units;
    const T* alignment = alignments + row * num_values;
    const T* value = values + sample * num_values * num_gates;
    const T* key = keys + sample * num_values * units;
    T* d_key = d_keys + sample * num_values * units;
    const T* query = queries + row * sizes.queries();
    T* d_weights = d_v + sample * sizes.queries();
    const T* weights = v;
    for (int64_t length : sizes.lengths) {
      // Softmax: the gradient of score j is alignment[j] * (d[j] - mean). Here d[j] is the gradient of alignment j, and
      // the mean of all d is weighted by the alignments.
      T mean = 0;
      for (int64_t j = 0; j < length; ++j, value += num_gates) {
        V sum = V{};
        int64_t n = 0;
        for (; n + kCount <= num_gates; n += kCount)
          sum += *reinterpret_cast<const V*>(value + n) * *reinterpret_cast<const V*>(d_gates + n);
        T total = 0;
        for (; n < num_gates; ++n) total += value[n] * d_gates[n];
        for (int lane = 0; lane < kCount; ++lane) total += sum[lane];
        d_alignments[j] = total;
        mean += alignment[j] * total;
      }
      for (int64_t j = 0; j < length; ++j, key += units, d_key += units) {
        const T d_score = alignment[j] * (d_alignments[j] - mean);
        int64_t n = 0;
        for (; n + kCount <= units; n += kCount) {
          const V a = Tanh<T, kBytes>::Of(*reinterpret_cast<const V*>(key + n) +
                                          *reinterpret_cast<const V*>(query + n));
          const V d = *reinterpret_cast<const V*>(weights + n) * (1 - a * a) * d_score;
          *reinterpret_cast<V*>(d_key + n) += d;
          *reinterpret_cast<V*>(d_queries + n) += d;
          *reinterpret_cast<V*>(d_weights + n) += a * d_score;
        }
        for (; n < units; ++n) {
          const T a = TanhOf(key[n] + query[n]), d = weights[n] * (1 - a * a) * d_score;
          d_key[n] += d;
          d_queries[n] += d;
          d_weights[n] += a * d_score;
        }
      }
      alignment += length;
      query += units;
      d_queries += units;
      d_weights += units;
      weights += units;
    }
  }
};

}  // namespace aster

#endif  // ASTER_C_OPS_ATTENTION_LSTM_H_

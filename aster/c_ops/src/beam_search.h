// Beam search with an attention LSTM, all steps of it, free of TensorFlow.
#ifndef ASTER_C_OPS_BEAM_SEARCH_H_
#define ASTER_C_OPS_BEAM_SEARCH_H_

#include <limits>

#include "attention_lstm.h"

namespace aster {

// The best hypothesis of one image.
template <typename T>
struct Found {
  T score;
  std::vector<int32_t> labels;
  std::vector<T> log_probs;   // one per label
  std::vector<T> alignments;  // T values per label
};

// The texts that may be read, as a tree; see model/prefix_tree.py. Without starts, any text may.
struct Tree {
  const int32_t *starts, *labels, *nodes;

  // f(label, the node that it leads to) for all that may follow on a node.
  template <typename F>
  ASTER_INLINE void ForEach(int32_t node, int64_t num_labels, const F& f) const {
    if (!starts) {
      for (int64_t label = 0; label < num_labels; ++label) f(static_cast<int32_t>(label), 0);
    } else {
      for (int32_t edge = starts[node]; edge < starts[node + 1]; ++edge) f(labels[edge], nodes[edge]);
    }
  }
};

// Searches for samples [begin, end), all in step, each until its best hypothesis has ended: scores only
// fall, so nothing can overtake that one. What is read without doubt needs no beam. Sizes::steps is the most labels
// that a hypothesis may have.
template <typename T>
struct BeamSearch {
  const Sizes& sizes;
  int64_t beam_width, num_labels;
  int32_t start_label, end_label;
  const PackedMatrix<T>& state_kernel;  // [U, 4U + N A]
  const PackedMatrix<T>& dense_kernel;  // [U, L]
  const T *label_inputs;                // [L, 4U], biases included
  const T *keys, *values, *v, *dense_bias;
  const Tree& tree;
  Found<T>* found;                      // [B]
  int64_t begin, end;

  struct Hypothesis {
    T score, log_prob;
    int64_t parent;     // among the last step's hypotheses of the sample
    int32_t label, node;
    bool finished;
    int64_t state;      // row of the state that it goes on from
    int64_t alignment;  // row of the alignment with which its label was read
  };
  typedef std::vector<Hypothesis> Beam;

  // The states of hypotheses: several may go on from one.
  struct States {
    std::vector<T> h, c;
    std::vector<int64_t> samples;
  };

  template <int kBytes>
  ASTER_INLINE void Run() const {
    std::vector<int64_t> samples;
    for (int64_t i = begin; i < end; ++i) samples.push_back(i);
    if (beam_width > 1) samples = ReadGreedily<kBytes>(samples);
    if (!samples.empty()) Search<kBytes>(samples);
  }

  // Takes the best label in each step -> samples for which that may not be what the beam would find. It is, where
  // the text's score is above those of all second best continuations on its way: every other text starts with one
  // of them, or a worse one, and scores only fall, so that the text's beginnings stay first in a beam of any width.
  template <int kBytes>
  ASTER_INLINE std::vector<int64_t> ReadGreedily(const std::vector<int64_t>& samples) const {
    const int64_t units = sizes.units, num_gates = sizes.gates(), num_values = sizes.num_values();
    std::vector<int64_t> unproven;
    States states = FirstStates(sizes.units, samples);
    std::vector<int32_t> labels(samples.size(), start_label), nodes(samples.size(), 0);
    std::vector<T> rivals(samples.size(), std::numeric_limits<T>::lowest()), alignments, gates(num_gates);
    for (int64_t t = 0; t < sizes.steps && !states.samples.empty(); ++t) {
      const int64_t rows = states.samples.size();
      const std::vector<T> sums = Sums<kBytes>(states, &alignments);
      for (int64_t row = 0; row < rows; ++row) {
        AddInput(labels[row], &sums[row * num_gates], gates.data());
        LstmCell<T, kBytes>(units, sizes.forget_bias, &states.c[row * units], gates.data(), &states.c[row * units],
                            &states.h[row * units]);
      }
      std::vector<T> logits(rows * num_labels);
      Multiply<T, kBytes>(states.h.data(), units, rows, dense_kernel, logits.data());
      int64_t kept = 0;
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t sample = states.samples[row];
        Found<T>& text = found[sample];
        T* scores = &logits[row * num_labels];
        const T log_sum = AddBias(scores);
        int32_t label = -1, node = 0;
        T second = std::numeric_limits<T>::lowest();
        tree.ForEach(nodes[row], num_labels, [&](int32_t candidate, int32_t next) {
          if (label < 0 || scores[candidate] > scores[label]) {
            if (label >= 0) second = scores[label];
            label = candidate;
            node = next;
          } else if (scores[candidate] > second) {
            second = scores[candidate];
          }
        });
        const T rival = std::max(rivals[row], text.score + (second - log_sum));
        const T log_prob = scores[label] - log_sum;
        text.score += log_prob;
        text.labels.push_back(label);
        text.log_probs.push_back(log_prob);
        text.alignments.insert(text.alignments.end(), &alignments[row * num_values],
                               &alignments[row * num_values] + num_values);
        if (!(text.score > rival)) {  // nor if it is no number
          unproven.push_back(sample);
          text = Found<T>();
        } else if (label != end_label) {
          labels[kept] = label;
          nodes[kept] = node;
          rivals[kept] = rival;
          states.samples[kept] = sample;
          std::copy_n(&states.h[row * units], units, &states.h[kept * units]);
          std::copy_n(&states.c[row * units], units, &states.c[kept * units]);
          ++kept;
        }
      }
      states.samples.resize(kept);
    }
    return unproven;
  }

  static States FirstStates(int64_t units, const std::vector<int64_t>& samples) {
    States states;
    states.h.resize(samples.size() * units);
    states.c.resize(samples.size() * units);
    states.samples = samples;
    return states;
  }

  // `gates` = what a label and the state give to them.
  ASTER_INLINE void AddInput(int32_t label, const T* sums, T* gates) const {
    const T* input = label_inputs + label * sizes.gates();
    for (int64_t n = 0; n < sizes.gates(); ++n) gates[n] = input[n] + sums[n];
  }

  // Adds the bias to a row of logits -> the logarithm of the sum of their exponentials.
  T AddBias(T* logits) const {
    T highest = logits[0] += dense_bias[0], sum = 0;
    for (int64_t label = 1; label < num_labels; ++label) highest = std::max(highest, logits[label] += dense_bias[label]);
    for (int64_t label = 0; label < num_labels; ++label) sum += std::exp(logits[label] - highest);
    return std::log(sum) + highest;
  }

  template <int kBytes>
  ASTER_INLINE void Search(const std::vector<int64_t>& samples) const {
    const int64_t count = samples.size();
    std::vector<std::vector<Beam>> history(count);  // [sample][step]
    std::vector<std::vector<T>> alignments;         // [step], by row of the states
    States states = FirstStates(sizes.units, samples);
    for (int64_t i = 0; i < count; ++i) history[i].push_back(Beam{Hypothesis{0, 0, 0, start_label, 0, false, i, 0}});
    for (int64_t t = 0; t < sizes.steps && !states.samples.empty(); ++t) {
      alignments.emplace_back();
      std::vector<T> sums = Sums<kBytes>(states, &alignments.back());
      States next;
      std::vector<T> logits = Advance<kBytes>(states, sums, history, &next);
      states = Select(samples, &logits, next, &history);
    }
    for (int64_t i = 0; i < count; ++i) found[samples[i]] = Trace(history[i], alignments);
  }

  // What the states alone give to the gates, glimpses included -> [rows, 4U].
  template <int kBytes>
  ASTER_INLINE std::vector<T> Sums(const States& states, std::vector<T>* alignments) const {
    const int64_t rows = states.samples.size(), width = sizes.projection(), num_gates = sizes.gates();
    const int64_t num_values = sizes.num_values();
    std::vector<T> projection(rows * width), sums(rows * num_gates);
    alignments->resize(rows * num_values);
    Multiply<T, kBytes>(states.h.data(), sizes.units, rows, state_kernel, projection.data());
    for (int64_t row = 0; row < rows; ++row) {
      const T* projected = &projection[row * width];
      const int64_t sample = states.samples[row];
      std::copy(projected, projected + num_gates, &sums[row * num_gates]);
      AddGlimpse<T, kBytes>(sizes, keys + sample * num_values * sizes.attention_units,
                            values + sample * num_values * num_gates, v, projected + num_gates,
                            alignments->data() + row * num_values, &sums[row * num_gates]);
    }
    return sums;
  }

  // Advances the unfinished hypotheses of all samples that are not done -> logits and, in the same order,
  // the next states.
  template <int kBytes>
  ASTER_INLINE std::vector<T> Advance(const States& states, const std::vector<T>& sums,
                                      const std::vector<std::vector<Beam>>& history, States* next) const {
    const int64_t units = sizes.units, num_gates = sizes.gates();
    const int64_t most = history.size() * beam_width;
    next->h.resize(most * units);
    next->c.resize(most * units);
    std::vector<T> gates(num_gates);
    int64_t row = 0;
    for (const std::vector<Beam>& steps : history) {
      if (Done(steps.back())) continue;
      for (const Hypothesis& hypothesis : steps.back()) {
        if (hypothesis.finished) continue;
        AddInput(hypothesis.label, &sums[hypothesis.state * num_gates], gates.data());
        LstmCell<T, kBytes>(units, sizes.forget_bias, &states.c[hypothesis.state * units], gates.data(),
                            &next->c[row * units], &next->h[row * units]);
        ++row;
      }
    }
    std::vector<T> logits(row * num_labels);
    Multiply<T, kBytes>(next->h.data(), units, row, dense_kernel, logits.data());
    return logits;
  }

  static bool Done(const Beam& beam) { return beam[0].finished; }

  // Appends to each sample's history the best continuations -> the states of those that go on.
  States Select(const std::vector<int64_t>& samples, std::vector<T>* logits, const States& advanced,
                std::vector<std::vector<Beam>>* history) const {
    const int64_t units = sizes.units;
    States states;
    int64_t row = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      std::vector<Beam>& steps = (*history)[i];
      if (Done(steps.back())) continue;
      Beam beam;
      std::vector<int64_t> rows;  // of `advanced`, by hypothesis
      for (const Hypothesis& hypothesis : steps.back()) {
        const int64_t parent = rows.size();
        rows.push_back(row);
        if (hypothesis.finished) {  // it stays as it is
          Insert(Hypothesis{hypothesis.score, 0, parent, end_label, 0, true, 0, hypothesis.alignment}, &beam);
        } else {
          Expand(hypothesis, parent, &(*logits)[row++ * num_labels], &beam);
        }
      }
      steps.push_back(beam);
      if (Done(beam)) continue;
      std::vector<int64_t> kept(rows.size(), -1);  // the new row of each parent's state
      for (Hypothesis& hypothesis : steps.back()) {
        if (hypothesis.finished) continue;
        int64_t& state = kept[hypothesis.parent];
        if (state < 0) {
          state = states.samples.size();
          const int64_t from = rows[hypothesis.parent] * units;
          states.samples.push_back(samples[i]);
          states.h.insert(states.h.end(), &advanced.h[from], &advanced.h[from] + units);
          states.c.insert(states.c.end(), &advanced.c[from], &advanced.c[from] + units);
        }
        hypothesis.state = state;
      }
    }
    return states;
  }

  // Adds the continuations of a hypothesis that are good enough.
  void Expand(const Hypothesis& hypothesis, int64_t parent, T* logits, Beam* beam) const {
    const T log_sum = AddBias(logits);
    tree.ForEach(hypothesis.node, num_labels, [&](int32_t label, int32_t node) {
      const T log_prob = logits[label] - log_sum;
      Insert(Hypothesis{hypothesis.score + log_prob, log_prob, parent, label, node, label == end_label, 0,
                        hypothesis.state}, beam);
    });
  }

  // Keeps the beam sorted, equals in the order in which they came, and no wider than beam_width.
  void Insert(Hypothesis hypothesis, Beam* beam) const {
    if (!(hypothesis.score >= std::numeric_limits<T>::lowest())) hypothesis.score = std::numeric_limits<T>::lowest();
    const bool full = static_cast<int64_t>(beam->size()) == beam_width;
    if (full && !(hypothesis.score > beam->back().score)) return;
    if (full) beam->pop_back();
    auto at = beam->end();
    while (at != beam->begin() && hypothesis.score > (at - 1)->score) --at;
    beam->insert(at, hypothesis);
  }

  // Follows the best hypothesis back to its first label.
  Found<T> Trace(const std::vector<Beam>& steps, const std::vector<std::vector<T>>& alignments) const {
    const int64_t length = steps.size() - 1, num_values = sizes.num_values();
    Found<T> result;
    result.score = steps.back()[0].score;
    result.labels.resize(length);
    result.log_probs.resize(length);
    result.alignments.resize(length * num_values);
    int64_t index = 0;
    for (int64_t t = length; t > 0; --t) {
      const Hypothesis& hypothesis = steps[t][index];
      result.labels[t - 1] = hypothesis.label;
      result.log_probs[t - 1] = hypothesis.log_prob;
      if (!steps[t - 1][hypothesis.parent].finished)
        std::copy_n(&alignments[t - 1][hypothesis.alignment * num_values], num_values,
                    &result.alignments[(t - 1) * num_values]);
      index = hypothesis.parent;
    }
    return result;
  }
};

}  // namespace aster

#endif  // ASTER_C_OPS_BEAM_SEARCH_H_

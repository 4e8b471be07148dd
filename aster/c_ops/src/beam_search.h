// All steps of a beam search with an attention LSTM. Independent of TensorFlow.
#ifndef ASTER_C_OPS_BEAM_SEARCH_H_
#define ASTER_C_OPS_BEAM_SEARCH_H_

#include <limits>
#include <stdexcept>

#include "attention_lstm.h"

namespace aster {

// The best hypothesis of one sample.
template <typename T>
struct Decoded {
  T score;                    // the sum of log_probs
  std::vector<int32_t> labels;
  std::vector<T> log_probs;   // one per label
  std::vector<T> alignments;  // T values per label
};

// The texts that can be decoded, as a prefix tree; see model/prefix_tree.py. Without nodes any text can.
struct Tree {
  const int32_t *starts, *labels, *nodes;
  int64_t num_nodes, num_edges, num_labels;

  // Calls f(label, the node that it leads to) for all labels that may follow on a node.
  template <typename F>
  ASTER_INLINE void ForEach(int32_t node, const F& f) const {
    if (num_nodes == 0) {
      for (int64_t label = 0; label < num_labels; ++label) f(static_cast<int32_t>(label), 0);
      return;
    }
    // Check saw all this, but the arrays may be a caller's, who has changed them since.
    const int32_t first = starts[node], end = starts[node + 1];
    if (first < 0 || first >= end || end > num_edges) Refuse();
    for (int32_t edge = first; edge < end; ++edge) {
      const int32_t label = labels[edge], next = nodes[edge];
      if (label < 0 || label >= num_labels || next < 0 || next >= num_nodes) Refuse();
      f(label, next);
    }
  }

  bool operator==(const Tree& other) const {
    return starts == other.starts && labels == other.labels && nodes == other.nodes && num_nodes == other.num_nodes &&
           num_edges == other.num_edges && num_labels == other.num_labels;
  }

  // Throws std::invalid_argument unless every node has edges, and every edge a label and a node that there are. It has
  // no branches in the loops, so that a tree of 100,000 words takes 0.2 ms: a number is wrong where one of its
  // differences to the lowest and the highest has the sign bit.
  void Check() const {
    uint32_t wrong = starts[0] != 0 || starts[num_nodes] != num_edges ? Sign() : 0;
    for (int64_t i = 0; i < num_nodes; ++i) {
      const uint32_t next = starts[i + 1];
      wrong |= next | Difference(num_edges, next) | Difference(next - 1, starts[i]);
    }
    for (int64_t i = 0; i < num_edges; ++i) {
      const uint32_t label = labels[i], node = nodes[i];
      wrong |= label | Difference(num_labels - 1, label) | node | Difference(num_nodes - 1, node);
    }
    if (wrong & Sign()) Refuse();
  }

 private:
  static uint32_t Sign() { return 1u << 31; }
  static uint32_t Difference(uint32_t a, uint32_t b) { return a - b; }
  static void Refuse() {
    throw std::invalid_argument(
        "not a prefix tree: tree_starts must rise at every node, from 0 to the number of edges; tree_labels and "
        "tree_nodes must be labels and nodes that there are");
  }
};

// Decodes samples [begin, end), all in step: RunOnThisProcessor(BeamSearch<T>{...}). A sample is done when its best
// hypothesis has ended, since scores only fall, so that no other hypothesis can overtake it.
template <typename T>
struct BeamSearch {
  const Sizes& sizes;                   // its steps are the most labels that a hypothesis may have
  int64_t beam_width, num_labels;
  int32_t start_label, end_label;
  const PackedMatrix<T>& state_kernel;  // [U, 4U + N A]
  const PackedMatrix<T>& dense_kernel;  // [U, L]
  const T *label_inputs;                // [L, 4U], biases included
  const T *keys, *values, *v, *dense_bias;
  const Tree& tree;
  Decoded<T>* decoded;                  // [B], the results
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
    // Greedy decoding has one hypothesis per sample, and proves of most texts that no beam would find another. Only
    // the samples without proof need the beam. With width 1 Search is greedy itself, at the same cost.
    if (beam_width > 1) samples = DecodeGreedily<kBytes>(samples);
    if (!samples.empty()) Search<kBytes>(samples);
  }

  // Takes the best label in each step -> the samples for which the beam may find another text.
  //
  // The proof: every other text leaves the greedy one at some step with that step's second best label, or with a worse
  // one. Scores only fall. So if the greedy text ends with a score above those of all second best continuations on its
  // way (`rival` is the highest of them), then its prefixes rank first in a beam of any width, and a beam search
  // returns it.
  template <int kBytes>
  ASTER_INLINE std::vector<int64_t> DecodeGreedily(const std::vector<int64_t>& samples) const {
    const int64_t units = sizes.units, num_values = sizes.num_values();
    std::vector<int64_t> unproven;
    // By row: one for each sample that is neither done nor unproven. Rows that go on move up to `kept`.
    States states = FirstStates(sizes.units, samples);
    std::vector<int32_t> labels(samples.size(), start_label), nodes(samples.size(), 0);
    std::vector<T> rivals(samples.size(), std::numeric_limits<T>::lowest()), alignments;
    for (int64_t t = 0; t < sizes.steps && !states.samples.empty(); ++t) {
      const int64_t rows = states.samples.size();
      std::vector<T> logits = AdvanceGreedily<kBytes>(labels, &states, &alignments);
      int64_t kept = 0;
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t sample = states.samples[row];
        Decoded<T>& text = decoded[sample];
        T* scores = &logits[row * num_labels];
        const T log_sum = AddBias(scores);
        const Choice best = Choose(nodes[row], scores);
        const T rival = std::max(rivals[row], text.score + (best.second - log_sum));
        const T log_prob = scores[best.label] - log_sum;
        text.score += log_prob;
        text.labels.push_back(best.label);
        text.log_probs.push_back(log_prob);
        text.alignments.insert(text.alignments.end(), &alignments[row * num_values],
                               &alignments[row * num_values] + num_values);
        if (!(text.score > rival)) {  // also where a score is not a number
          unproven.push_back(sample);
          text = Decoded<T>();
        } else if (best.label != end_label) {
          labels[kept] = best.label;
          nodes[kept] = best.node;
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

  // Makes a step of one hypothesis per state, in place -> its logits [rows, L].
  template <int kBytes>
  ASTER_INLINE std::vector<T> AdvanceGreedily(const std::vector<int32_t>& labels, States* states,
                                              std::vector<T>* alignments) const {
    const int64_t units = sizes.units, num_gates = sizes.gates(), rows = states->samples.size();
    const std::vector<T> sums = Sums<kBytes>(*states, alignments);
    std::vector<T> gates(num_gates), logits(rows * num_labels);
    for (int64_t row = 0; row < rows; ++row) {
      AddInput(labels[row], &sums[row * num_gates], gates.data());
      T* c = &states->c[row * units];
      LstmCell<T, kBytes>(units, sizes.forget_bias, c, gates.data(), c, &states->h[row * units]);
    }
    Multiply<T, kBytes>(states->h.data(), units, rows, dense_kernel, logits.data());
    return logits;
  }

  // The best label that may follow on a node, the node that it leads to, and the score of the second best label.
  struct Choice {
    int32_t label, node;
    T second;
  };
  ASTER_INLINE Choice Choose(int32_t node, const T* scores) const {
    Choice best = {-1, 0, std::numeric_limits<T>::lowest()};
    tree.ForEach(node, [&](int32_t label, int32_t next) {
      if (best.label < 0 || scores[label] > scores[best.label]) {
        if (best.label >= 0) best.second = scores[best.label];
        best.label = label;
        best.node = next;
      } else if (scores[label] > best.second) {
        best.second = scores[label];
      }
    });
    return best;
  }

  static States FirstStates(int64_t units, const std::vector<int64_t>& samples) {
    States states;
    states.h.resize(samples.size() * units);
    states.c.resize(samples.size() * units);
    states.samples = samples;
    return states;
  }

  // gates [4U] = what the last label gives to them + `sums`, what the state gives.
  ASTER_INLINE void AddInput(int32_t label, const T* sums, T* gates) const {
    const T* input = label_inputs + label * sizes.gates();
    for (int64_t n = 0; n < sizes.gates(); ++n) gates[n] = input[n] + sums[n];
  }

  // Adds the bias to a row of logits -> the logarithm of the sum of their exponentials.
  T AddBias(T* logits) const {
    T highest = logits[0] += dense_bias[0], sum = 0;
    for (int64_t label = 1; label < num_labels; ++label)
      highest = std::max(highest, logits[label] += dense_bias[label]);
    for (int64_t label = 0; label < num_labels; ++label) sum += std::exp(logits[label] - highest);
    return std::log(sum) + highest;
  }

  // The beam search. A beam holds the best hypotheses of a sample; each points to its parent in the beam of the step
  // before, so that a text is put together only once, at the end. Hypotheses that differ in their last label only share
  // the state from which they go on; so there are fewer states than hypotheses, and finished ones have none.
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
    for (int64_t i = 0; i < count; ++i) decoded[samples[i]] = Trace(history[i], alignments);
  }

  // What the states alone give to the gates, glimpses included -> [rows, 4U]. All hypotheses of a state share it.
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

  // Makes a step of the cell for each unfinished hypothesis of all samples that are not done -> the logits and, in the
  // same order, the next states.
  template <int kBytes>
  ASTER_INLINE std::vector<T> Advance(const States& states, const std::vector<T>& sums,
                                      const std::vector<std::vector<Beam>>& history, States* next) const {
    const int64_t units = sizes.units, num_gates = sizes.gates();
    int64_t rows = 0;
    for (const std::vector<Beam>& steps : history) {
      if (Done(steps.back())) continue;
      for (const Hypothesis& hypothesis : steps.back()) rows += !hypothesis.finished;
    }
    next->h.resize(rows * units);
    next->c.resize(rows * units);
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
    std::vector<T> logits(rows * num_labels);
    Multiply<T, kBytes>(next->h.data(), units, rows, dense_kernel, logits.data());
    return logits;
  }

  static bool Done(const Beam& beam) { return beam[0].finished; }

  // Appends a beam of the best continuations to the history of each sample -> the states from which those go on. It
  // goes through the hypotheses in the order of Advance, so that `row` counts the rows of logits and of `advanced`.
  States Select(const std::vector<int64_t>& samples, std::vector<T>* logits, const States& advanced,
                std::vector<std::vector<Beam>>* history) const {
    const int64_t units = sizes.units;
    States states;
    int64_t row = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      std::vector<Beam>& steps = (*history)[i];
      if (Done(steps.back())) continue;
      Beam beam;
      std::vector<int64_t> rows;  // of `advanced`, for each parent; a finished one has none and never uses its own
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
      std::vector<int64_t> kept(rows.size(), -1);  // the row in `states` of each parent's state, once it is copied
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

  // Inserts the continuations of a hypothesis by every label into the beam, which keeps those that are good enough.
  void Expand(const Hypothesis& hypothesis, int64_t parent, T* logits, Beam* beam) const {
    const T log_sum = AddBias(logits);
    tree.ForEach(hypothesis.node, [&](int32_t label, int32_t node) {
      const T log_prob = logits[label] - log_sum;
      Insert(Hypothesis{hypothesis.score + log_prob, log_prob, parent, label, node, label == end_label, 0,
                        hypothesis.state}, beam);
    });
  }

  // Keeps the beam sorted, equals in the order in which they came, and no wider than beam_width. A score that is not a
  // number counts as the lowest, so that the search ends whatever the weights are.
  void Insert(Hypothesis hypothesis, Beam* beam) const {
    if (!(hypothesis.score >= std::numeric_limits<T>::lowest())) hypothesis.score = std::numeric_limits<T>::lowest();
    const bool full = static_cast<int64_t>(beam->size()) == beam_width;
    if (full && !(hypothesis.score > beam->back().score)) return;
    if (full) beam->pop_back();
    auto at = beam->end();
    while (at != beam->begin() && hypothesis.score > (at - 1)->score) --at;
    beam->insert(at, hypothesis);
  }

  // Follows the best hypothesis back to its first label. A finished hypothesis that was repeated has no alignments.
  Decoded<T> Trace(const std::vector<Beam>& steps, const std::vector<std::vector<T>>& alignments) const {
    const int64_t length = steps.size() - 1, num_values = sizes.num_values();
    Decoded<T> result;
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

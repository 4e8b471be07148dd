// A whole beam search on a GPU: one block of threads takes one sample through all steps, until its best hypothesis
// has ended. beam_search.h says the same for CPUs, in more words.
#include "block.cuh"

namespace aster {
namespace gpu {
namespace {

template <typename T>
struct Hypothesis {
  T score, log_prob;
  int parent;     // among the last step's hypotheses
  int label;
  int finished;
  int state;      // row of the state that it goes on from
  int alignment;  // row of the alignment with which its label was read
};

// Scratch of one sample.
template <typename T>
struct Workspace {
  Hypothesis<T>* beams;  // [S + 1, W]
  T *h, *c;              // [W, U], states that hypotheses go on from
  T *next_h, *next_c;    // [W, U], of the unfinished hypotheses
  T* projection;         // [W, 4U + N A], of h; its gates get the glimpse
  T* gates;              // [4U]
  T* logits;             // [W, L]
  T* alignments;         // [S, W, T]
  int *read, *from;      // [S + 1] rows of alignments that the best hypothesis read; [W] rows of next_h that are kept

  __host__ __device__ static size_t Bytes(const SearchShape& shape) {
    Workspace space;
    return space.Place(shape, 0);
  }

  // Lays the arrays out from `base` on -> their bytes in all.
  __host__ __device__ size_t Place(const SearchShape& shape, char* base) {
    const AttentionShape& attention = shape.attention;
    const size_t width = shape.beam_width, units = attention.units, steps = attention.steps;
    const size_t num_queries = static_cast<size_t>(attention.num_memories) * attention.attention_units;
    char* at = base;
    at = Take(at, (steps + 1) * width, &beams);
    at = Take(at, width * units, &h);
    at = Take(at, width * units, &c);
    at = Take(at, width * units, &next_h);
    at = Take(at, width * units, &next_c);
    at = Take(at, width * (4 * units + num_queries), &projection);
    at = Take(at, 4 * units, &gates);
    at = Take(at, width * shape.num_labels, &logits);
    at = Take(at, steps * width * attention.num_values, &alignments);
    at = Take(at, steps + 1, &read);
    at = Take(at, width, &from);
    return at - base;
  }

  template <typename Value>
  __host__ __device__ static char* Take(char* at, size_t count, Value** values) {
    *values = reinterpret_cast<Value*>(at);
    return at + (count * sizeof(Value) + 15) / 16 * 16;
  }
};

// The better of two candidates: the higher score, then the earlier one. None has place -1.
template <typename T>
__device__ bool Better(T score, int place, T other_score, int other_place) {
  if (place < 0 || other_place < 0) return place >= 0;
  return score > other_score || (score == other_score && place < other_place);
}

template <typename T>
struct Search {
  const SearchShape& shape;
  const Workspace<T>& space;
  T* shared;          // [kThreads]
  int* shared_place;  // [kThreads]

  // logits -> log-probabilities, of `rows` hypotheses.
  __device__ void LogSoftmax(int rows, const T* bias) const {
    const int num_labels = shape.num_labels;
    for (int row = 0; row < rows; ++row) {
      T* logits = space.logits + static_cast<int64_t>(row) * num_labels;
      T highest = Lowest(T()), sum = 0;
      for (int label = Thread(); label < num_labels; label += kThreads)
        highest = Larger()(highest, logits[label] += bias[label]);
      highest = Reduce(highest, Larger(), shared);
      for (int label = Thread(); label < num_labels; label += kThreads) sum += Exp(logits[label] - highest);
      const T log_sum = Log(Reduce(sum, Plus(), shared)) + highest;
      for (int label = Thread(); label < num_labels; label += kThreads) logits[label] -= log_sum;
    }
    __syncthreads();
  }

  // The score of a continuation; not a number counts as the lowest.
  __device__ static T Clamp(T score) { return score >= Lowest(T()) ? score : Lowest(T()); }

  // Writes to `next` the best continuations of the `count` hypotheses of `beam` -> how many. Candidates come in
  // the order of (hypothesis, label); each round takes the best that comes after the last round's.
  __device__ int Choose(const Hypothesis<T>* beam, int count, Hypothesis<T>* next) const {
    const int num_labels = shape.num_labels;
    T last_score = 0;
    int last_place = -1;
    for (int chosen = 0; chosen < shape.beam_width; ++chosen) {
      T best_score = 0;
      int best_place = -1;
      for (int k = 0, row = 0; k < count; ++k) {
        const bool finished = beam[k].finished;
        const T* log_probs = space.logits + static_cast<int64_t>(row) * num_labels;
        for (int label = Thread(); label < (finished ? 1 : num_labels); label += kThreads) {
          const T score = finished ? beam[k].score : Clamp(beam[k].score + log_probs[label]);
          const int place = k * num_labels + label;
          const bool left = last_place < 0 || Better(last_score, last_place, score, place);
          if (left && Better(score, place, best_score, best_place)) best_score = score, best_place = place;
        }
        row += !finished;
      }
      __syncthreads();
      shared[Thread()] = best_score;
      shared_place[Thread()] = best_place;
      for (int half = kThreads / 2; half > 0; half /= 2) {
        __syncthreads();
        const int other = Thread() + half;
        if (Thread() < half &&
            Better(shared[other], shared_place[other], shared[Thread()], shared_place[Thread()])) {
          shared[Thread()] = shared[other];
          shared_place[Thread()] = shared_place[other];
        }
      }
      __syncthreads();
      last_score = shared[0];
      last_place = shared_place[0];
      if (last_place < 0) return chosen;
      if (Thread() == 0) {
        const int parent = last_place / num_labels, label = last_place % num_labels;
        int row = 0;
        for (int k = 0; k < parent; ++k) row += !beam[k].finished;
        Hypothesis<T>& hypothesis = next[chosen];
        hypothesis.score = last_score;
        hypothesis.parent = parent;
        hypothesis.label = beam[parent].finished ? shape.end_label : label;
        hypothesis.log_prob = beam[parent].finished ? T(0) : space.logits[static_cast<int64_t>(row) * num_labels + label];
        hypothesis.finished = hypothesis.label == shape.end_label;
        hypothesis.alignment = beam[parent].finished ? beam[parent].alignment : beam[parent].state;
        hypothesis.state = -1;
      }
    }
    return shape.beam_width;
  }

  // Gives each unfinished hypothesis of `next` its state -> how many states; moves them to h and c.
  __device__ int Keep(const Hypothesis<T>* beam, Hypothesis<T>* next, int count) const {
    __syncthreads();
    if (Thread() == 0) {
      int kept = 0;
      for (int k = 0; k < count; ++k) {
        if (next[k].finished) continue;
        for (int earlier = 0; earlier < k && next[k].state < 0; ++earlier)
          if (!next[earlier].finished && next[earlier].parent == next[k].parent) next[k].state = next[earlier].state;
        if (next[k].state >= 0) continue;
        int row = 0;
        for (int other = 0; other < next[k].parent; ++other) row += !beam[other].finished;
        space.from[kept] = row;
        next[k].state = kept++;
      }
      shared_place[0] = kept;
    }
    __syncthreads();
    const int kept = shared_place[0], units = shape.attention.units;
    for (int i = Thread(); i < kept * units; i += kThreads) {
      const int from = space.from[i / units] * units + i % units;
      space.h[i] = space.next_h[from];
      space.c[i] = space.next_c[from];
    }
    __syncthreads();
    return kept;
  }
};

template <typename T>
__global__ void BeamSearchKernel(SearchShape shape, const T* label_inputs, const T* state_kernel, const T* keys,
                                 const T* values, const T* v, const T* dense_kernel, const T* dense_bias,
                                 int32_t* lengths, T* scores, int32_t* labels, T* log_probs, T* alignments,
                                 char* scratch) {
  __shared__ T shared[kThreads];
  __shared__ int shared_place[kThreads];
  const AttentionShape& attention = shape.attention;
  const int units = attention.units, num_gates = 4 * units, num_values = attention.num_values;
  const int width = num_gates + attention.num_memories * attention.attention_units, beam_width = shape.beam_width;
  const int64_t sample = blockIdx.x, steps = attention.steps;
  keys += sample * num_values * attention.attention_units;
  values += sample * num_values * num_gates;
  Workspace<T> space;
  space.Place(shape, scratch + sample * Workspace<T>::Bytes(shape));
  const Search<T> search = {shape, space, shared, shared_place};

  for (int n = Thread(); n < units; n += kThreads) space.h[n] = space.c[n] = 0;
  if (Thread() == 0) {
    const Hypothesis<T> first = {T(0), T(0), 0, shape.start_label, 0, 0, 0};
    space.beams[0] = first;
  }
  __syncthreads();
  int count = 1, states = 1, length = 0;
  for (bool done = false; length < steps && !done; ++length) {
    const Hypothesis<T>* beam = space.beams + length * beam_width;
    Hypothesis<T>* next = space.beams + (length + 1) * beam_width;
    Multiply(space.h, states, state_kernel, units, width, space.projection);
    for (int row = 0; row < states; ++row) {
      T* projected = space.projection + row * width;
      AddGlimpse(attention, keys, values, v, projected + num_gates,
                 space.alignments + (length * beam_width + row) * num_values, projected, shared);
    }
    int unfinished = 0;
    for (int k = 0; k < count; ++k) {
      if (beam[k].finished) continue;
      const T *input = label_inputs + static_cast<int64_t>(beam[k].label) * num_gates;
      const T* sums = space.projection + beam[k].state * width;
      for (int n = Thread(); n < units; n += kThreads) {  // a thread reads the gates that it writes itself
        for (int gate = 0; gate < 4; ++gate)
          space.gates[gate * units + n] = input[gate * units + n] + sums[gate * units + n];
        LstmCell<T>(n, units, attention.forget_bias, space.c[beam[k].state * units + n], space.gates,
                    space.next_c + unfinished * units, space.next_h + unfinished * units);
      }
      ++unfinished;
    }
    __syncthreads();
    Multiply(space.next_h, unfinished, dense_kernel, units, shape.num_labels, space.logits);
    search.LogSoftmax(unfinished, dense_bias);
    count = search.Choose(beam, count, next);
    states = search.Keep(beam, next, count);
    done = next[0].finished;
  }

  // Follow the best hypothesis back to its first label.
  if (Thread() == 0) {
    lengths[sample] = length;
    scores[sample] = space.beams[static_cast<int64_t>(length) * beam_width].score;
    int index = 0;
    for (int t = length; t > 0; --t) {
      const Hypothesis<T>& hypothesis = space.beams[static_cast<int64_t>(t) * beam_width + index];
      labels[sample * steps + t - 1] = hypothesis.label;
      log_probs[sample * steps + t - 1] = hypothesis.log_prob;
      const bool attended = !space.beams[static_cast<int64_t>(t - 1) * beam_width + hypothesis.parent].finished;
      space.read[t] = attended ? hypothesis.alignment : -1;
      index = hypothesis.parent;
    }
  }
  __syncthreads();
  for (int64_t i = Thread(); i < static_cast<int64_t>(length) * num_values; i += kThreads) {
    const int64_t t = i / num_values, row = space.read[t + 1];
    alignments[sample * steps * num_values + i] =
        row < 0 ? T(0) : space.alignments[(t * beam_width + row) * num_values + i % num_values];
  }
}

template <typename T>
__global__ void TrimKernel(SearchShape shape, int longest, int32_t pad_label, const int32_t* lengths,
                           const int32_t* labels, const T* log_probs, const T* alignments, int32_t* trimmed_labels,
                           T* trimmed_log_probs, T* trimmed_alignments) {
  const int num_values = shape.attention.num_values;
  const int64_t count = static_cast<int64_t>(shape.attention.batch) * longest;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + Thread(); i < count;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t sample = i / longest, t = i % longest, from = sample * shape.attention.steps + t;
    const bool inside = t < lengths[sample];
    trimmed_labels[i] = inside ? labels[from] : pad_label;
    trimmed_log_probs[i] = inside ? log_probs[from] : T(0);
    for (int j = 0; j < num_values; ++j)
      trimmed_alignments[i * num_values + j] = inside ? alignments[from * num_values + j] : T(0);
  }
}

}  // namespace

template <typename T>
size_t BeamSearchScratch(const SearchShape& shape) { return Workspace<T>::Bytes(shape) * shape.attention.batch; }

template <typename T>
int BeamSearch(Stream stream, const SearchShape& shape, const T* label_inputs, const T* state_kernel, const T* keys,
               const T* values, const T* v, const T* dense_kernel, const T* dense_bias, int32_t* lengths, T* scores,
               int32_t* labels, T* log_probs, T* alignments, void* scratch) {
  if (shape.attention.batch == 0) return 0;
  ASTER_LAUNCH(BeamSearchKernel, shape.attention.batch, stream, shape, label_inputs, state_kernel, keys, values, v,
               dense_kernel, dense_bias, lengths, scores, labels, log_probs, alignments,
               static_cast<char*>(scratch));
  return cudaGetLastError();
}

int LongestText(Stream stream, const int32_t* lengths, int batch, int* longest) {
  *longest = 0;
  const int kAtOnce = 1024;
  int32_t some[kAtOnce];
  for (int first = 0; first < batch; first += kAtOnce) {
    const int count = batch - first < kAtOnce ? batch - first : kAtOnce;
    int error = cudaMemcpyAsync(some, lengths + first, count * sizeof(int32_t), cudaMemcpyDeviceToHost, stream);
    if (!error) error = cudaStreamSynchronize(stream);
    if (error) return error;
    for (int i = 0; i < count; ++i) *longest = some[i] > *longest ? some[i] : *longest;
  }
  return 0;
}

template <typename T>
int TrimTexts(Stream stream, const SearchShape& shape, int longest, int32_t pad_label, const int32_t* lengths,
              const T* scores, const int32_t* labels, const T* log_probs, const T* alignments,
              int32_t* trimmed_lengths, T* trimmed_scores, int32_t* trimmed_labels, T* trimmed_log_probs,
              T* trimmed_alignments) {
  const int64_t batch = shape.attention.batch, blocks = (batch * longest + kThreads - 1) / kThreads;
  if (blocks == 0) return 0;
  int error = cudaMemcpyAsync(trimmed_lengths, lengths, batch * sizeof(int32_t), cudaMemcpyDeviceToDevice, stream);
  if (!error) error = cudaMemcpyAsync(trimmed_scores, scores, batch * sizeof(T), cudaMemcpyDeviceToDevice, stream);
  if (error) return error;
  ASTER_LAUNCH(TrimKernel, static_cast<unsigned>(blocks < 65535 ? blocks : 65535), stream, shape, longest, pad_label,
               lengths, labels, log_probs, alignments, trimmed_labels, trimmed_log_probs, trimmed_alignments);
  return cudaGetLastError();
}

#define INSTANTIATE(T)                                                                                             \
  template size_t BeamSearchScratch<T>(const SearchShape&);                                                        \
  template int BeamSearch(Stream, const SearchShape&, const T*, const T*, const T*, const T*, const T*, const T*,  \
                          const T*, int32_t*, T*, int32_t*, T*, T*, void*);                                        \
  template int TrimTexts(Stream, const SearchShape&, int, int32_t, const int32_t*, const T*, const int32_t*,       \
                         const T*, const T*, int32_t*, T*, int32_t*, T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace gpu
}  // namespace aster

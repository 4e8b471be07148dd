// A beam search on a GPU. A step has four kernels: the products of all states with the state's kernel, in tiles; the
// glimpses and cells, one block for each state; the products with the dense kernel; and the choice, one block for each
// sample. A sample whose best hypothesis has ended takes no part in later steps. beam_search.h says the same for CPUs, in
// more words.
#include "product.cuh"

namespace aster {
namespace gpu {
namespace {

template <typename T>
struct Hypothesis {
  T score, log_prob;
  int parent;     // among the last step's hypotheses
  int label;
  int node;       // of the tree
  int finished;
  int state;      // row of the state that it goes on from
  int alignment;  // row of the alignment with which its label was read
};

struct Status {
  int count, states, length, done;  // hypotheses, states that they go on from, steps so far, whether that is all
};

// Scratch of all samples, or, by At, of one.
template <typename T>
struct Workspace {
  SearchShape shape;
  Status* status;
  Hypothesis<T>* beams;  // [S + 1, W]
  T *h, *c;              // [W, U], states that hypotheses go on from
  T *next_h, *next_c;    // [W, U], of the hypotheses; nothing where one has ended, as in logits
  T* projection;         // [W, 4U + N A], of h; its gates get the glimpse
  T* gates;              // [W, 4U]
  T* logits;             // [W, L]
  T* alignments;         // [S, W, T]
  int* read;             // [S + 1] rows of alignments that the best hypothesis read
  size_t bytes;          // in all

  __host__ __device__ Workspace(const SearchShape& shape, char* base) : shape(shape) {
    char* at = base;
    const Counts of(shape);
    at = Take(at, 1, &status);
    at = Take(at, of.beams, &beams);
    at = Take(at, of.states, &h);
    at = Take(at, of.states, &c);
    at = Take(at, of.states, &next_h);
    at = Take(at, of.states, &next_c);
    at = Take(at, of.projection, &projection);
    at = Take(at, of.gates, &gates);
    at = Take(at, of.logits, &logits);
    at = Take(at, of.alignments, &alignments);
    at = Take(at, of.read, &read);
    bytes = at - base;
  }

  __device__ Workspace At(int64_t sample) const {
    Workspace one = *this;
    const Counts of(shape);
    one.status += sample;
    one.beams += sample * of.beams;
    one.h += sample * of.states;
    one.c += sample * of.states;
    one.next_h += sample * of.states;
    one.next_c += sample * of.states;
    one.projection += sample * of.projection;
    one.gates += sample * of.gates;
    one.logits += sample * of.logits;
    one.alignments += sample * of.alignments;
    one.read += sample * of.read;
    return one;
  }

 private:
  struct Counts {  // of one sample
    int64_t beams, states, projection, gates, logits, alignments, read;
    __host__ __device__ explicit Counts(const SearchShape& shape) {
      const AttentionShape& attention = shape.attention;
      const int64_t width = shape.beam_width, units = attention.units, steps = attention.steps;
      beams = (steps + 1) * width;
      states = width * units;
      projection = width * (4 * units + attention.num_memories * attention.attention_units);
      gates = width * 4 * units;
      logits = width * shape.num_labels;
      alignments = steps * width * attention.num_values;
      read = steps + 1;
    }
  };

  template <typename Value>
  __host__ __device__ char* Take(char* at, int64_t count, Value** values) const {
    *values = reinterpret_cast<Value*>(at);
    return at + (shape.attention.batch * count * sizeof(Value) + 15) / 16 * 16;
  }
};

// A product of a step. It leaves out tiles whose samples have all ended.
template <typename T>
struct ProductOfStates : Product<T> {
  const Status* status;
  int beam_width;

  __device__ bool IsIdle(int64_t first, int count) const {
    const int64_t end = first + count < this->rows ? first + count : this->rows;
    for (int64_t sample = first / beam_width; sample * beam_width < end; ++sample)
      if (!status[sample].done) return false;
    return true;
  }
};

template <typename T>
__global__ void BeginKernel(Workspace<T> all) {
  const Workspace<T> space = all.At(blockIdx.x);
  for (int n = Thread(); n < all.shape.attention.units; n += kThreads) space.h[n] = space.c[n] = 0;
  if (Thread() != 0) return;
  const Status status = {1, 1, 0, 0};
  const Hypothesis<T> first = {T(0), T(0), 0, all.shape.start_label, 0, 0, 0, 0};
  *space.status = status;
  space.beams[0] = first;
}

// The glimpse of a state, and then the cells of the hypotheses that go on from it: one block for each state.
template <typename T>
__global__ void ReadKernel(Workspace<T> all, const T* label_inputs, const T* keys, const T* values, const T* v) {
  __shared__ Sums<T> shared;
  const SearchShape& shape = all.shape;
  const AttentionShape& attention = shape.attention;
  const int units = attention.units, num_gates = 4 * units, num_values = attention.num_values;
  const int width = num_gates + attention.num_memories * attention.attention_units;
  const int64_t sample = blockIdx.x / shape.beam_width;
  const int row = blockIdx.x % shape.beam_width;
  const Workspace<T> space = all.At(sample);
  const Status status = *space.status;
  if (status.done || row >= status.states) return;
  T *sums = space.projection + static_cast<int64_t>(row) * width, *gates = space.gates + row * num_gates;
  AddGlimpse(attention, keys + sample * num_values * attention.attention_units,
             values + sample * num_values * num_gates, v, sums + num_gates,
             space.alignments + (static_cast<int64_t>(status.length) * shape.beam_width + row) * num_values, sums,
             &shared);
  const Hypothesis<T>* beam = space.beams + static_cast<int64_t>(status.length) * shape.beam_width;
  for (int k = 0; k < status.count; ++k) {
    if (beam[k].finished || beam[k].state != row) continue;
    const T* input = label_inputs + static_cast<int64_t>(beam[k].label) * num_gates;
    for (int n = Thread(); n < units; n += kThreads) {  // a thread reads the gates that it writes itself
      for (int gate = 0; gate < 4; ++gate)
        gates[gate * units + n] = input[gate * units + n] + sums[gate * units + n];
      LstmCell<T>(n, units, attention.forget_bias, space.c[row * units + n], gates, space.next_c + k * units,
                  space.next_h + k * units);
    }
  }
}

// The better of two candidates: the higher score, then the earlier one. None has place -1.
template <typename T>
__device__ bool Better(T score, int place, T other_score, int other_place) {
  if (place < 0 || other_place < 0) return place >= 0;
  return score > other_score || (score == other_score && place < other_place);
}

template <typename T>
struct Search {
  const SearchShape& shape;
  const SearchTree& tree;
  const Workspace<T>& space;
  T* shared;          // [kThreads]
  int* shared_place;  // [kThreads]

  // logits -> log-probabilities, of the hypotheses that have not ended. A group of threads takes a row.
  __device__ void LogSoftmax(const Hypothesis<T>* beam, int count, const T* bias) const {
    for (int first = 0; first < count; first += kGroups) {
      const int k = first + Thread() / kLanes;
      const int num_labels = k < count && !beam[k].finished ? shape.num_labels : 0;
      T* logits = space.logits + static_cast<int64_t>(k) * shape.num_labels;
      T highest = Lowest(T()), sum = 0;
      for (int label = Thread() % kLanes; label < num_labels; label += kLanes)
        highest = Larger()(highest, logits[label] += bias[label]);
      highest = ReduceGroup(highest, Larger());
      for (int label = Thread() % kLanes; label < num_labels; label += kLanes) sum += Exp(logits[label] - highest);
      const T log_sum = Log(ReduceGroup(sum, Plus())) + highest;
      for (int label = Thread() % kLanes; label < num_labels; label += kLanes) logits[label] -= log_sum;
    }
    __syncthreads();
  }

  template <typename Combine>
  __device__ T ReduceGroup(T value, Combine combine) const {
    __syncthreads();
    shared[Thread()] = value;
    __syncthreads();
    const T* group = shared + Thread() / kLanes * kLanes;
    T all = group[0];
    for (int lane = 1; lane < kLanes; ++lane) all = combine(all, group[lane]);
    return all;
  }

  // The score of a continuation; not a number counts as the lowest.
  __device__ static T Clamp(T score) { return score >= Lowest(T()) ? score : Lowest(T()); }

  // The label of a hypothesis's continuation, of which there are Choices; -1 where its node has fewer.
  __device__ int Label(const Hypothesis<T>& hypothesis, int choice) const {
    if (!tree.starts) return choice;
    const int edge = tree.starts[hypothesis.node] + choice;
    return edge < tree.starts[hypothesis.node + 1] ? tree.labels[edge] : -1;
  }
  __device__ int Choices() const { return tree.starts ? tree.most_edges : shape.num_labels; }

  // Writes to `next` the best continuations of the `count` hypotheses of `beam` -> how many. Candidates come in
  // the order of (hypothesis, choice); each round takes the best that comes after the last round's.
  __device__ int Choose(const Hypothesis<T>* beam, int count, Hypothesis<T>* next) const {
    const int choices = Choices();
    T last_score = 0;
    int last_place = -1, chosen = 0;
    for (; chosen < shape.beam_width; ++chosen) {
      T best_score = 0;
      int best_place = -1;
      for (int place = Thread(); place < count * choices; place += kThreads) {
        const int k = place / choices, choice = place % choices;
        const Hypothesis<T>& hypothesis = beam[k];
        const int label = hypothesis.finished ? (choice ? -1 : shape.end_label) : Label(hypothesis, choice);
        if (label < 0) continue;
        const T score = hypothesis.finished
            ? hypothesis.score
            : Clamp(hypothesis.score + space.logits[static_cast<int64_t>(k) * shape.num_labels + label]);
        const bool left = last_place < 0 || Better(last_score, last_place, score, place);
        if (left && Better(score, place, best_score, best_place)) best_score = score, best_place = place;
      }
      TakeBest(&best_score, &best_place);
      if (best_place < 0) break;
      last_score = best_score;
      last_place = best_place;
      if (Thread() == 0) {
        next[chosen].score = last_score;
        next[chosen].parent = last_place / choices;
        next[chosen].label = last_place % choices;  // the choice, until all are chosen
      }
    }
    __syncthreads();
    for (int k = Thread(); k < chosen; k += kThreads) {
      Hypothesis<T>& hypothesis = next[k];
      const Hypothesis<T>& parent = beam[hypothesis.parent];
      const int choice = hypothesis.label;
      hypothesis.label = parent.finished ? shape.end_label : Label(parent, choice);
      hypothesis.node = parent.finished || !tree.starts ? 0 : tree.nodes[tree.starts[parent.node] + choice];
      hypothesis.log_prob = parent.finished
          ? T(0) : space.logits[static_cast<int64_t>(hypothesis.parent) * shape.num_labels + hypothesis.label];
      hypothesis.finished = hypothesis.label == shape.end_label;
      hypothesis.alignment = parent.finished ? parent.alignment : parent.state;
      hypothesis.state = -1;
    }
    __syncthreads();
    return chosen;
  }

  // The best candidate of all threads, for all threads.
  __device__ void TakeBest(T* score, int* place) const {
    __syncthreads();
    shared[Thread()] = *score;
    shared_place[Thread()] = *place;
    for (int stride = kLanes, from = kThreads; from > 1; from = stride, stride = 1) {
      __syncthreads();
      if (Thread() >= stride) continue;
#pragma unroll 8
      for (int other = Thread() + stride; other < from; other += stride)
        if (Better(shared[other], shared_place[other], *score, *place)) {
          *score = shared[other];
          *place = shared_place[other];
        }
      shared[Thread()] = *score;
      shared_place[Thread()] = *place;
    }
    __syncthreads();
    *score = shared[0];
    *place = shared_place[0];
  }

  // The first hypothesis that goes on from the same state as number k, which has not ended.
  __device__ static int FirstOf(const Hypothesis<T>* next, int k) {
    int first = 0;
    while (next[first].finished || next[first].parent != next[k].parent) ++first;
    return first;
  }

  // Gives each unfinished hypothesis of `next` its state -> how many states; moves them to h and c.
  __device__ int Keep(Hypothesis<T>* next, int count) const {
    int kept = 0;
    const int units = shape.attention.units;
    for (int k = 0; k < count; ++k) {
      if (next[k].finished || FirstOf(next, k) != k) continue;
      const int64_t from = static_cast<int64_t>(next[k].parent) * units;
      for (int n = Thread(); n < units; n += kThreads) {
        space.h[kept * units + n] = space.next_h[from + n];
        space.c[kept * units + n] = space.next_c[from + n];
      }
      for (int other = k + Thread(); other < count; other += kThreads)
        if (!next[other].finished && next[other].parent == next[k].parent) next[other].state = kept;
      ++kept;
    }
    return kept;
  }
};

template <typename T>
__global__ void ChooseKernel(Workspace<T> all, SearchTree tree, const T* dense_bias) {
  __shared__ T shared[kThreads];
  __shared__ int shared_place[kThreads];
  const Workspace<T> space = all.At(blockIdx.x);
  Status status = *space.status;
  if (status.done) return;
  const Search<T> search = {all.shape, tree, space, shared, shared_place};
  const Hypothesis<T>* beam = space.beams + static_cast<int64_t>(status.length) * all.shape.beam_width;
  Hypothesis<T>* next = space.beams + static_cast<int64_t>(status.length + 1) * all.shape.beam_width;
  search.LogSoftmax(beam, status.count, dense_bias);
  status.count = search.Choose(beam, status.count, next);
  status.states = search.Keep(next, status.count);
  status.done = next[0].finished;
  ++status.length;
  __syncthreads();
  if (Thread() == 0) *space.status = status;
}

// Follows the best hypothesis back to its first label.
template <typename T>
__global__ void FollowKernel(Workspace<T> all, int32_t* lengths, T* scores, int32_t* labels, T* log_probs,
                             T* alignments) {
  const Workspace<T> space = all.At(blockIdx.x);
  const int64_t sample = blockIdx.x, steps = all.shape.attention.steps, beam_width = all.shape.beam_width;
  const int64_t length = space.status->length, num_values = all.shape.attention.num_values;
  if (Thread() == 0) {
    lengths[sample] = static_cast<int32_t>(length);
    scores[sample] = space.beams[length * beam_width].score;
    int index = 0;
    for (int64_t t = length; t > 0; --t) {
      const Hypothesis<T>& hypothesis = space.beams[t * beam_width + index];
      labels[sample * steps + t - 1] = hypothesis.label;
      log_probs[sample * steps + t - 1] = hypothesis.log_prob;
      const bool attended = !space.beams[(t - 1) * beam_width + hypothesis.parent].finished;
      space.read[t] = attended ? hypothesis.alignment : -1;
      index = hypothesis.parent;
    }
  }
  __syncthreads();
  for (int64_t i = Thread(); i < length * num_values; i += kThreads) {
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
size_t BeamSearchScratch(const SearchShape& shape) { return Workspace<T>(shape, nullptr).bytes; }

template <typename T>
void StartProduct(Stream stream, const Workspace<T>& space, const T* from, const T* matrix, int stride, T* out) {
  ProductOfStates<T> task;
  task.rows = static_cast<int64_t>(space.shape.attention.batch) * space.shape.beam_width;
  task.matrix = matrix;
  task.size = space.shape.attention.units;
  task.row_stride = task.size;
  task.stride = stride;
  task.from = from;
  task.out = out;
  task.status = space.status;
  task.beam_width = space.shape.beam_width;
  Start<T>(stream, task);
}

template <typename T>
int BeamSearch(Stream stream, const SearchShape& shape, const SearchTree& tree, const T* label_inputs,
               const T* state_kernel, const T* keys, const T* values, const T* v, const T* dense_kernel,
               const T* dense_bias, int32_t* lengths, T* scores, int32_t* labels, T* log_probs, T* alignments,
               void* scratch) {
  const AttentionShape& attention = shape.attention;
  if (attention.batch == 0) return 0;
  const Workspace<T> space(shape, static_cast<char*>(scratch));
  const unsigned batch = attention.batch, states = batch * shape.beam_width;
  const int width = 4 * attention.units + attention.num_memories * attention.attention_units;
  ASTER_LAUNCH(BeginKernel, batch, stream, space);
  for (int t = 0; t < attention.steps; ++t) {
    StartProduct<T>(stream, space, space.h, state_kernel, width, space.projection);
    ASTER_LAUNCH(ReadKernel, states, stream, space, label_inputs, keys, values, v);
    StartProduct<T>(stream, space, space.next_h, dense_kernel, shape.num_labels, space.logits);
    ASTER_LAUNCH(ChooseKernel, batch, stream, space, tree, dense_bias);
  }
  ASTER_LAUNCH(FollowKernel, batch, stream, space, lengths, scores, labels, log_probs, alignments);
  return cudaGetLastError();
}

int Upload(Stream stream, const void* from, size_t bytes, void* to) {
  return bytes ? cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream) : 0;
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
  template int BeamSearch(Stream, const SearchShape&, const SearchTree&, const T*, const T*, const T*, const T*,   \
                          const T*, const T*, const T*, int32_t*, T*, int32_t*, T*, T*, void*);                    \
  template int TrimTexts(Stream, const SearchShape&, int, int32_t, const int32_t*, const T*, const int32_t*,       \
                         const T*, const T*, int32_t*, T*, int32_t*, T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace gpu
}  // namespace aster

// BeamSearch as a TensorFlow op.
#include "beam_search.h"

#include <mutex>

#include "attention_ops.h"
#include "gpu_op.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;

tf::Status BeamSearchShape(InferenceContext* context) {
  tf::shape_inference::ShapeHandle keys;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(2), 3, &keys));
  const auto batch = context->Dim(keys, 0), steps = context->UnknownDim();
  context->set_output(0, context->MakeShape({batch, steps}));
  context->set_output(1, context->MakeShape({batch}));
  context->set_output(2, context->MakeShape({batch}));
  context->set_output(3, context->MakeShape({batch, steps}));
  context->set_output(4, context->MakeShape({batch, steps, context->Dim(keys, 1)}));
  return tf::Status();
}

REGISTER_OP("AsterBeamSearch")
    .Input("label_inputs: T")
    .Input("state_kernel: T")
    .Input("keys: T")
    .Input("values: T")
    .Input("v: T")
    .Input("dense_kernel: T")
    .Input("dense_bias: T")
    .Input("tree_starts: int32")
    .Input("tree_labels: int32")
    .Input("tree_nodes: int32")
    .Output("labels: int32")
    .Output("sizes: int32")
    .Output("scores: T")
    .Output("step_log_probs: T")
    .Output("alignments: T")
    .Attr("T: {float, double}")
    .Attr("lengths: list(int) >= 0")
    .Attr("forget_bias: float")
    .Attr("attend_first: bool = true")
    .Attr("constant_kernels: bool = false")  // has no effect; graphs of version 0.1 have it
    .Attr("beam_width: int >= 1")
    .Attr("max_num_steps: int >= 1")
    .Attr("start_label: int >= 0")
    .Attr("end_label: int >= 0")
    .Attr("pad_label: int")
    .SetShapeFn(BeamSearchShape)
    .Doc("A whole beam search with an attention LSTM; see aster/c_ops/ops.py.");

// What a search may have at most; its memory grows with both.
const int kMostHypotheses = 1000, kMostSteps = 10000;

template <typename T>
class BeamSearchOp : public AttentionOp {
 public:
  explicit BeamSearchOp(tf::OpKernelConstruction* context) : AttentionOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("beam_width", &beam_width_));
    OP_REQUIRES_OK(context, context->GetAttr("max_num_steps", &max_num_steps_));
    OP_REQUIRES_OK(context, context->GetAttr("start_label", &start_label_));
    OP_REQUIRES_OK(context, context->GetAttr("end_label", &end_label_));
    OP_REQUIRES_OK(context, context->GetAttr("pad_label", &pad_label_));
    OP_REQUIRES(context, beam_width_ <= kMostHypotheses && max_num_steps_ <= kMostSteps,
                tf::errors::InvalidArgument("beam_width ", beam_width_, " and max_num_steps ", max_num_steps_,
                                            " may be ", kMostHypotheses, " and ", kMostSteps, " at most"));
    OP_REQUIRES(context, !sizes_.lengths.empty(),
                tf::errors::InvalidArgument("lengths must name a memory or more, which the search attends to"));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor &label_inputs = context->input(0), &keys = context->input(2), &dense = context->input(5);
    const tf::Tensor& bias = context->input(6);
    OP_REQUIRES(context, keys.dims() == 3, tf::errors::InvalidArgument("keys must be [B, T, A]"));
    Sizes sizes = sizes_;
    OP_REQUIRES_OK(context, GetSizes(context->input(1), keys, context->input(3), context->input(4), keys.dim_size(0),
                                     max_num_steps_, &sizes));
    const int64_t num_labels = bias.NumElements();
    OP_REQUIRES(context, num_labels <= kMost && HasShape(bias, {num_labels}) &&
                             HasShape(label_inputs, {num_labels, sizes.gates()}) &&
                             HasShape(dense, {sizes.units, num_labels}) &&
                             std::max(start_label_, end_label_) < num_labels,
                tf::errors::InvalidArgument("expected label_inputs [L, 4U], dense_kernel [U, L], dense_bias [L] with "
                                            "the labels ", start_label_, " and ", end_label_, ", got ",
                                            label_inputs.shape().DebugString(), ", ", dense.shape().DebugString(), ", ",
                                            bias.shape().DebugString()));
    const tf::Tensor &starts = context->input(7), &edges = context->input(8), &nodes = context->input(9);
    // without a tree all three are empty
    OP_REQUIRES(context, starts.dims() == 1 && starts.NumElements() <= kMost && edges.NumElements() <= kMost &&
                             HasShape(edges, {edges.NumElements()}) && HasShape(nodes, {edges.NumElements()}) &&
                             (starts.NumElements() == 0 ? edges.NumElements() == 0 : starts.NumElements() > 1),
                tf::errors::InvalidArgument("expected tree_starts [N + 1], tree_labels [E] and tree_nodes [E], got ",
                                            starts.shape().DebugString(), ", ", edges.shape().DebugString(), ", ",
                                            nodes.shape().DebugString()));
    const T* from[7];
    for (int i = 0; i < 7; ++i) from[i] = Data<T>(context->input(i));
    Run(context, sizes, num_labels, from);
  }

  // `from`: label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias.
  virtual void Run(tf::OpKernelContext* context, const Sizes& sizes, int64_t num_labels, const T* const* from) = 0;

  struct Outputs {
    tf::Tensor *labels, *lengths, *scores, *log_probs, *alignments;
  };

  tf::Status AllocateOutputs(tf::OpKernelContext* context, int64_t batch, int64_t steps, int64_t num_values,
                             Outputs* outputs) const {
    TF_RETURN_IF_ERROR(context->allocate_output(0, tf::TensorShape({batch, steps}), &outputs->labels));
    TF_RETURN_IF_ERROR(context->allocate_output(1, tf::TensorShape({batch}), &outputs->lengths));
    TF_RETURN_IF_ERROR(context->allocate_output(2, tf::TensorShape({batch}), &outputs->scores));
    TF_RETURN_IF_ERROR(context->allocate_output(3, tf::TensorShape({batch, steps}), &outputs->log_probs));
    return context->allocate_output(4, tf::TensorShape({batch, steps, num_values}), &outputs->alignments);
  }

  static Tree TreeOf(tf::OpKernelContext* context, int64_t num_labels) {
    const tf::Tensor &starts = context->input(7), &labels = context->input(8), &nodes = context->input(9);
    return {Data<tf::int32>(starts), Data<tf::int32>(labels), Data<tf::int32>(nodes),
            std::max<int64_t>(starts.NumElements() - 1, 0), labels.NumElements(), num_labels};
  }

  int beam_width_, max_num_steps_, start_label_, end_label_, pad_label_;
};

template <typename T>
class BeamSearchOnCpu : public BeamSearchOp<T> {
 public:
  using BeamSearchOp<T>::BeamSearchOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, int64_t num_labels, const T* const* from) override {
    const Tree tree = CheckedTree(context, num_labels);
    const PackedMatrix<T> kernel(from[1], sizes.units, sizes.projection());
    const PackedMatrix<T> dense_kernel(from[5], sizes.units, num_labels);
    std::vector<Decoded<T>> decoded(sizes.batch);
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(BeamSearch<T>{sizes, this->beam_width_, num_labels, this->start_label_, this->end_label_,
                                       kernel, dense_kernel, from[0], from[2], from[3], from[4], from[6], tree,
                                       decoded.data(), begin, end});
    });
    Write(context, decoded, sizes.num_values());
  }

 private:
  // Most often the tree is constant. It is looked through only once then, and kept, so that no other tensor can come to
  // lie in the same memory.
  Tree CheckedTree(tf::OpKernelContext* context, int64_t num_labels) {
    const Tree tree = this->TreeOf(context, num_labels);
    if (tree.num_nodes == 0) return tree;
    std::lock_guard<std::mutex> lock(mutex_);
    if (!(tree == checked_)) {
      tree.Check();
      checked_ = tree;
      kept_ = {context->input(7), context->input(8), context->input(9)};
    }
    return tree;
  }

  // Allocates outputs with room for the longest text and fills them.
  void Write(tf::OpKernelContext* context, const std::vector<Decoded<T>>& decoded, int64_t num_values) const {
    const int64_t batch = decoded.size();
    int64_t steps = 0;
    for (const Decoded<T>& text : decoded) steps = std::max<int64_t>(steps, text.labels.size());
    typename BeamSearchOp<T>::Outputs out;
    OP_REQUIRES_OK(context, this->AllocateOutputs(context, batch, steps, num_values, &out));
    std::fill_n(Data<tf::int32>(out.labels), batch * steps, this->pad_label_);
    std::fill_n(Data<T>(out.log_probs), batch * steps, T(0));
    std::fill_n(Data<T>(out.alignments), batch * steps * num_values, T(0));
    for (int64_t i = 0; i < batch; ++i) {
      const Decoded<T>& text = decoded[i];
      Data<tf::int32>(out.lengths)[i] = text.labels.size();
      Data<T>(out.scores)[i] = text.score;
      std::copy(text.labels.begin(), text.labels.end(), Data<tf::int32>(out.labels) + i * steps);
      std::copy(text.log_probs.begin(), text.log_probs.end(), Data<T>(out.log_probs) + i * steps);
      std::copy(text.alignments.begin(), text.alignments.end(), Data<T>(out.alignments) + i * steps * num_values);
    }
  }

  std::mutex mutex_;
  Tree checked_ = {};
  std::vector<tf::Tensor> kept_;
};

ASTER_REGISTER_KERNEL("AsterBeamSearch", tf::DEVICE_CPU, BeamSearchOnCpu);

#ifdef ASTER_CUDA
template <typename T>
class BeamSearchOnGpu : public BeamSearchOp<T> {
 public:
  using BeamSearchOp<T>::BeamSearchOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, int64_t num_labels, const T* const* from) override {
    gpu::SearchTree tree = {};
    tf::Tensor memory_of_tree;  // another thread may put another tree in its place
    OP_REQUIRES_OK(context, GetTree(context, this->TreeOf(context, num_labels), &memory_of_tree, &tree));
    const int64_t largest = std::max({sizes.projection(), num_labels, sizes.steps * sizes.num_values(),
                                      static_cast<int64_t>(tree.most_edges)});
    OP_REQUIRES(context, this->beam_width_ * largest <= kMost,  // the kernel counts in ints
                tf::errors::Unimplemented("on a GPU beam_width times gates and queries, labels, steps and entries of "
                                          "the memories, or edges of a node may be ", kMost, " at most"));
    gpu::SearchShape shape;
    OP_REQUIRES_OK(context, ShapeOf(sizes, &shape.attention));
    shape.beam_width = this->beam_width_;
    shape.num_labels = num_labels;
    shape.start_label = this->start_label_;
    shape.end_label = this->end_label_;
    const gpu::Stream stream = StreamOf(context);
    const int64_t batch = sizes.batch, room = batch * sizes.steps, num_values = sizes.num_values();
    tf::Tensor kept[6];
    int32_t *lengths, *labels;
    T *scores, *log_probs, *alignments;
    char* scratch;
    OP_REQUIRES_OK(context, Allocate(context, batch, &kept[0], &lengths));
    OP_REQUIRES_OK(context, Allocate(context, room, &kept[1], &labels));
    OP_REQUIRES_OK(context, Allocate(context, batch, &kept[2], &scores));
    OP_REQUIRES_OK(context, Allocate(context, room, &kept[3], &log_probs));
    OP_REQUIRES_OK(context, Allocate(context, room * num_values, &kept[4], &alignments));
    OP_REQUIRES_OK(context, Allocate(context, gpu::BeamSearchScratch<T>(shape), &kept[5], &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::BeamSearch(
        stream, shape, tree, from[0], from[1], from[2], from[3], from[4], from[5], from[6], lengths, scores, labels,
        log_probs, alignments, scratch)));
    int longest;
    OP_REQUIRES_OK(context, GpuStatus(gpu::LongestText(stream, lengths, batch, &longest)));
    typename BeamSearchOp<T>::Outputs out;
    OP_REQUIRES_OK(context, this->AllocateOutputs(context, batch, longest, num_values, &out));
    OP_REQUIRES_OK(context, GpuStatus(gpu::TrimTexts(
        stream, shape, longest, this->pad_label_, lengths, scores, labels, log_probs, alignments,
        Data<tf::int32>(out.lengths), Data<T>(out.scores), Data<tf::int32>(out.labels), Data<T>(out.log_probs),
        Data<T>(out.alignments))));
  }

 private:
  // The tree in the GPU's memory. It is checked and copied there when it is another one than the last.
  tf::Status GetTree(tf::OpKernelContext* context, const Tree& tree, tf::Tensor* memory, gpu::SearchTree* on_gpu) {
    if (tree.num_nodes == 0) return tf::Status();
    const int64_t num_starts = tree.num_nodes + 1, num_edges = tree.num_edges;
    std::lock_guard<std::mutex> lock(mutex_);
    if (!IsOnGpu(tree)) {
      kept_.clear();
      std::vector<int32_t> copy(tree.starts, tree.starts + num_starts);
      copy.insert(copy.end(), tree.labels, tree.labels + num_edges);
      copy.insert(copy.end(), tree.nodes, tree.nodes + num_edges);
      const int32_t* starts = copy.data();
      const Tree own = {starts, starts + num_starts, starts + num_starts + num_edges, tree.num_nodes, num_edges,
                        tree.num_labels};
      own.Check();
      TF_RETURN_IF_ERROR(Allocate(context, copy.size(), &memory_, &place_));
      TF_RETURN_IF_ERROR(GpuStatus(gpu::Upload(StreamOf(context), starts, copy.size() * sizeof(int32_t), place_)));
      most_edges_ = 0;
      for (int64_t i = 0; i < tree.num_nodes; ++i) most_edges_ = std::max(most_edges_, starts[i + 1] - starts[i]);
      num_labels_ = tree.num_labels;
      num_starts_ = num_starts;
      kept_.swap(copy);
    }
    *memory = memory_;
    *on_gpu = {place_, place_ + num_starts, place_ + num_starts + num_edges, most_edges_};
    return tf::Status();
  }

  // The values are compared, since a caller may have changed them where they are.
  bool IsOnGpu(const Tree& tree) const {
    if (static_cast<int64_t>(kept_.size()) != tree.num_nodes + 1 + 2 * tree.num_edges ||
        num_starts_ != tree.num_nodes + 1 || num_labels_ != tree.num_labels)
      return false;
    const int32_t* kept = kept_.data();
    return std::equal(kept, kept + num_starts_, tree.starts) &&
           std::equal(kept + num_starts_, kept + num_starts_ + tree.num_edges, tree.labels) &&
           std::equal(kept + num_starts_ + tree.num_edges, kept + kept_.size(), tree.nodes);
  }

  std::mutex mutex_;
  std::vector<int32_t> kept_;  // starts, labels and nodes of the tree in memory_; empty where there is none
  int64_t num_starts_ = 0, num_labels_ = 0;
  tf::Tensor memory_;
  int32_t *place_ = nullptr, most_edges_ = 0;
};

#define REGISTER_ON_GPU(T)                                                                                        \
  REGISTER_KERNEL_BUILDER(Name("AsterBeamSearch").Device(tf::DEVICE_GPU).HostMemory("tree_starts")               \
                              .HostMemory("tree_labels").HostMemory("tree_nodes").TypeConstraint<T>("T"),        \
                          BeamSearchOnGpu<T>)
REGISTER_ON_GPU(float);
REGISTER_ON_GPU(double);
#undef REGISTER_ON_GPU
#endif

}  // namespace
}  // namespace aster

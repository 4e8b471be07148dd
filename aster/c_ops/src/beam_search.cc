// BeamSearch as a TensorFlow op.
#include "beam_search.h"

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
    .Attr("constant_kernels: bool = false")
    .Attr("beam_width: int >= 1")
    .Attr("max_num_steps: int >= 1")
    .Attr("start_label: int >= 0")
    .Attr("end_label: int >= 0")
    .Attr("pad_label: int")
    .SetShapeFn(BeamSearchShape)
    .Doc("A whole beam search with an attention LSTM; see aster/c_ops/ops.py.");

template <typename T>
class BeamSearchOp : public AttentionOp {
 public:
  explicit BeamSearchOp(tf::OpKernelConstruction* context) : AttentionOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("beam_width", &beam_width_));
    OP_REQUIRES_OK(context, context->GetAttr("max_num_steps", &max_num_steps_));
    OP_REQUIRES_OK(context, context->GetAttr("start_label", &start_label_));
    OP_REQUIRES_OK(context, context->GetAttr("end_label", &end_label_));
    OP_REQUIRES_OK(context, context->GetAttr("pad_label", &pad_label_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor &label_inputs = context->input(0), &keys = context->input(2), &dense = context->input(5);
    OP_REQUIRES(context, keys.dims() == 3, tf::errors::InvalidArgument("keys must be [B, T, A]"));
    const int64_t batch = keys.dim_size(0);
    Sizes sizes = sizes_;
    OP_REQUIRES_OK(context, GetSizes(context->input(1), keys, context->input(3), context->input(4), batch, &sizes));
    sizes.steps = max_num_steps_;
    const int64_t num_labels = context->input(6).NumElements();
    OP_REQUIRES(context, label_inputs.shape() == tf::TensorShape({num_labels, sizes.gates()}) &&
                             dense.shape() == tf::TensorShape({sizes.units, num_labels}) &&
                             std::max(start_label_, end_label_) < num_labels,
                tf::errors::InvalidArgument("expected label_inputs [L, 4U], dense_kernel [U, L], dense_bias [L], got ",
                                            label_inputs.shape().DebugString(), ", ", dense.shape().DebugString(), ", ",
                                            context->input(6).shape().DebugString()));
    const tf::Tensor &starts = context->input(7), &edges = context->input(8);
    OP_REQUIRES(context, starts.dims() == 1 && edges.shape() == context->input(9).shape(),
                tf::errors::InvalidArgument("expected tree_starts [N + 1], tree_labels [E] and tree_nodes [E]"));
    const T* from[7];
    for (int i = 0; i < 7; ++i) from[i] = Data<T>(context->input(i));
    Run(context, sizes, num_labels, from);
  }

 protected:
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

  int beam_width_, max_num_steps_, start_label_, end_label_, pad_label_;
};

template <typename T>
class BeamSearchOnCpu : public BeamSearchOp<T> {
 public:
  explicit BeamSearchOnCpu(tf::OpKernelConstruction* context)
      : BeamSearchOp<T>(context), kernel_(this->constant_kernels_), dense_kernel_(this->constant_kernels_) {}

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, int64_t num_labels, const T* const* from) override {
    const auto kernel = kernel_.Get(from[1], sizes.units, sizes.projection());
    const auto dense_kernel = dense_kernel_.Get(from[5], sizes.units, num_labels);
    std::vector<Decoded<T>> decoded(sizes.batch);
    Tree tree = {nullptr, Data<tf::int32>(context->input(8)), Data<tf::int32>(context->input(9))};
    if (context->input(7).NumElements() > 1) tree.starts = Data<tf::int32>(context->input(7));
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(BeamSearch<T>{sizes, this->beam_width_, num_labels, this->start_label_, this->end_label_,
                                       *kernel, *dense_kernel, from[0], from[2], from[3], from[4], from[6], tree,
                                       decoded.data(), begin, end});
    });
    Write(context, decoded, sizes.num_values());
  }

 private:
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

  Packing<T> kernel_, dense_kernel_;
};

ASTER_REGISTER_KERNEL("AsterBeamSearch", tf::DEVICE_CPU, BeamSearchOnCpu);

#ifdef ASTER_CUDA
template <typename T>
class BeamSearchOnGpu : public BeamSearchOp<T> {
 public:
  using BeamSearchOp<T>::BeamSearchOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, int64_t num_labels, const T* const* from) override {
    OP_REQUIRES(context, context->input(7).NumElements() <= 1,
                tf::errors::Unimplemented("there is no kernel for GPUs that searches a lexicon"));
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
        stream, shape, from[0], from[1], from[2], from[3], from[4], from[5], from[6], lengths, scores, labels,
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
};

ASTER_REGISTER_KERNEL("AsterBeamSearch", tf::DEVICE_GPU, BeamSearchOnGpu);
#endif

}  // namespace
}  // namespace aster

// AttentionLstm and its gradient as TensorFlow ops.
#include "attention_lstm.h"

#include "attention_ops.h"
#include "gpu_op.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;

tf::Status AttentionLstmShape(InferenceContext* context) {
  tf::shape_inference::ShapeHandle inputs, keys, kernel;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &inputs));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 2, &kernel));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(2), 3, &keys));
  const auto batch = context->Dim(inputs, 0), steps = context->Dim(inputs, 1), units = context->Dim(kernel, 0);
  const auto state = context->MakeShape({batch, steps, units});
  context->set_output(0, state);
  context->set_output(1, state);
  context->set_output(2, inputs);
  context->set_output(3, context->MakeShape({batch, steps, context->UnknownDim()}));
  context->set_output(4, context->MakeShape({batch, steps, context->Dim(keys, 1)}));
  return tf::Status();
}

REGISTER_OP("AsterAttentionLstm")
    .Input("inputs: T")
    .Input("state_kernel: T")
    .Input("keys: T")
    .Input("values: T")
    .Input("v: T")
    .Output("h: T")
    .Output("c: T")
    .Output("gates: T")
    .Output("queries: T")
    .Output("alignments: T")
    .Attr("T: {float, double}")
    .Attr("lengths: list(int) >= 0")
    .Attr("forget_bias: float")
    .Attr("attend_first: bool")
    .Attr("reverse: bool = false")
    .Attr("constant_kernels: bool = false")  // has no effect; graphs of version 0.1 have it
    .SetShapeFn(AttentionLstmShape)
    .Doc("An LSTM with additive attention over a whole sequence; see aster/c_ops/ops.py.");

REGISTER_OP("AsterAttentionLstmGrad")
    .Input("state_kernel: T")
    .Input("keys: T")
    .Input("values: T")
    .Input("v: T")
    .Input("c: T")
    .Input("gates: T")
    .Input("queries: T")
    .Input("alignments: T")
    .Input("d_h: T")
    .Output("d_projection: T")
    .Output("d_keys: T")
    .Output("d_v: T")
    .Attr("T: {float, double}")
    .Attr("lengths: list(int) >= 0")
    .Attr("forget_bias: float")
    .Attr("attend_first: bool")
    .Attr("reverse: bool = false")
    .Attr("constant_kernels: bool = false")  // has no effect; graphs of version 0.1 have it
    .Doc("The gradient of AsterAttentionLstm.");

// What the op and its gradient share.
template <typename T>
class WholeSequenceOp : public AttentionOp {
 public:
  explicit WholeSequenceOp(tf::OpKernelConstruction* context) : AttentionOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("reverse", &sizes_.reverse));
  }

 protected:
  // Computes the op's outputs `to` from its inputs `from`, both in the order of REGISTER_OP.
  virtual void Run(tf::OpKernelContext* context, const Sizes& sizes, const T* const* from, T* const* to) = 0;
};

template <typename T>
class AttentionLstmOp : public WholeSequenceOp<T> {
 public:
  using WholeSequenceOp<T>::WholeSequenceOp;

  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor& inputs = context->input(0);
    OP_REQUIRES(context, inputs.dims() == 3, tf::errors::InvalidArgument("inputs must be [B, S, 4U]"));
    Sizes sizes = this->sizes_;
    OP_REQUIRES_OK(context, this->GetSizes(context->input(1), context->input(2), context->input(3),
                                           context->input(4), inputs.dim_size(0), inputs.dim_size(1), &sizes));
    OP_REQUIRES(context, inputs.dim_size(2) == sizes.gates(),
                tf::errors::InvalidArgument("inputs must have 4 values for each of ", sizes.units, " units"));
    const T* from[5];
    T* to[5];
    const int64_t widths[] = {sizes.units, sizes.units, sizes.gates(), sizes.queries(), sizes.num_values()};
    for (int i = 0; i < 5; ++i) {
      tf::Tensor* output;
      OP_REQUIRES_OK(context, context->allocate_output(
          i, tf::TensorShape({sizes.batch, sizes.steps, widths[i]}), &output));
      from[i] = Data<T>(context->input(i));
      to[i] = Data<T>(output);
    }
    if (sizes.batch == 0 || sizes.steps == 0) return;  // all outputs are empty
    this->Run(context, sizes, from, to);
  }
};

template <typename T>
class AttentionLstmOnCpu : public AttentionLstmOp<T> {
 public:
  using AttentionLstmOp<T>::AttentionLstmOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const T* const* from, T* const* to) override {
    const PackedMatrix<T> kernel(from[1], sizes.units, sizes.projection());
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(AttentionLstm<T>{sizes, kernel, from[0], from[2], from[3], from[4], to[0], to[1], to[2],
                                          to[3], to[4], begin, end});
    });
  }
};

template <typename T>
class AttentionLstmGradOp : public WholeSequenceOp<T> {
 public:
  using WholeSequenceOp<T>::WholeSequenceOp;

  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor& c = context->input(4);
    OP_REQUIRES(context, c.dims() == 3, tf::errors::InvalidArgument("c must be [B, S, U]"));
    Sizes sizes = this->sizes_;
    OP_REQUIRES_OK(context, this->GetSizes(context->input(0), context->input(1), context->input(2),
                                           context->input(3), c.dim_size(0), c.dim_size(1), &sizes));
    const int64_t widths[] = {sizes.units, sizes.gates(), sizes.queries(), sizes.num_values(), sizes.units};
    const char* const names[] = {"c", "gates", "queries", "alignments", "d_h"};
    for (int i = 0; i < 5; ++i)
      OP_REQUIRES(context, HasShape(context->input(4 + i), {sizes.batch, sizes.steps, widths[i]}),
                  tf::errors::InvalidArgument(names[i], " must be [", sizes.batch, ", ", sizes.steps, ", ", widths[i],
                                              "], got ", context->input(4 + i).shape().DebugString()));
    tf::Tensor *d_projection, *d_keys, *d_v;
    OP_REQUIRES_OK(context, context->allocate_output(
        0, tf::TensorShape({sizes.batch, sizes.steps, sizes.projection()}), &d_projection));
    OP_REQUIRES_OK(context, context->allocate_output(1, context->input(1).shape(), &d_keys));
    OP_REQUIRES_OK(context, context->allocate_output(
        2, tf::TensorShape({sizes.batch, static_cast<int64_t>(sizes.lengths.size()), sizes.attention_units}), &d_v));
    const T* from[9];
    for (int i = 0; i < 9; ++i) from[i] = Data<T>(context->input(i));
    T* const to[] = {Data<T>(d_projection), Data<T>(d_keys), Data<T>(d_v)};
    if (d_projection->NumElements() + d_keys->NumElements() + d_v->NumElements() == 0) return;
    this->Run(context, sizes, from, to);
  }
};

template <typename T>
class AttentionLstmGradOnCpu : public AttentionLstmGradOp<T> {
 public:
  using AttentionLstmGradOp<T>::AttentionLstmGradOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const T* const* from, T* const* to) override {
    const PackedMatrix<T> transposed(from[0], sizes.projection(), sizes.units, true);
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(AttentionLstmGradient<T>{sizes, transposed, from[1], from[2], from[3], from[4], from[5],
                                                  from[6], from[7], from[8], to[0], to[1], to[2], begin, end});
    });
  }
};

ASTER_REGISTER_KERNEL("AsterAttentionLstm", tf::DEVICE_CPU, AttentionLstmOnCpu);
ASTER_REGISTER_KERNEL("AsterAttentionLstmGrad", tf::DEVICE_CPU, AttentionLstmGradOnCpu);

#ifdef ASTER_CUDA
template <typename T>
class AttentionLstmOnGpu : public AttentionLstmOp<T> {
 public:
  using AttentionLstmOp<T>::AttentionLstmOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const T* const* from, T* const* to) override {
    gpu::AttentionShape shape;
    OP_REQUIRES_OK(context, ShapeOf(sizes, &shape));
    OP_REQUIRES_OK(context, GpuStatus(gpu::AttentionLstm(StreamOf(context), shape, from[0], from[1], from[2], from[3],
                                                         from[4], to[0], to[1], to[2], to[3], to[4])));
  }
};

template <typename T>
class AttentionLstmGradOnGpu : public AttentionLstmGradOp<T> {
 public:
  using AttentionLstmGradOp<T>::AttentionLstmGradOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const T* const* from, T* const* to) override {
    gpu::AttentionShape shape;
    T *transposed, *scratch;
    tf::Tensor kept[2];
    OP_REQUIRES_OK(context, ShapeOf(sizes, &shape));
    OP_REQUIRES_OK(context, Allocate(context, sizes.units * sizes.projection(), &kept[0], &transposed));
    OP_REQUIRES_OK(context, Allocate(context, gpu::AttentionLstmGradientScratch(shape), &kept[1], &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::AttentionLstmGradient(
        StreamOf(context), shape, from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7], from[8],
        to[0], to[1], to[2], transposed, scratch)));
  }
};

ASTER_REGISTER_KERNEL("AsterAttentionLstm", tf::DEVICE_GPU, AttentionLstmOnGpu);
ASTER_REGISTER_KERNEL("AsterAttentionLstmGrad", tf::DEVICE_GPU, AttentionLstmGradOnGpu);
#endif

}  // namespace
}  // namespace aster

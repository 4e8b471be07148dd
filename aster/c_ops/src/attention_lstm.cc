// AttentionLstm and its gradient as TensorFlow ops.
#include "attention_lstm.h"

#include "attention_ops.h"

namespace aster {
namespace {

namespace tf = tensorflow;
using tf::shape_inference::InferenceContext;

tf::Status AttentionLstmShape(InferenceContext* context) {
  tf::shape_inference::ShapeHandle inputs, keys, kernel;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &inputs));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 2, &kernel));
  TF_RETURN_IF_ERROR(context->WithRank(context->input(2), 3, &keys));
  const auto steps = context->Dim(inputs, 0), batch = context->Dim(inputs, 1), units = context->Dim(kernel, 0);
  const auto state = context->MakeShape({steps, batch, units});
  context->set_output(0, state);
  context->set_output(1, state);
  context->set_output(2, inputs);
  context->set_output(3, context->MakeShape({steps, batch, context->UnknownDim()}));
  context->set_output(4, context->MakeShape({steps, batch, context->Dim(keys, 1)}));
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
    .Doc("The gradient of AsterAttentionLstm.");

template <typename T>
class AttentionLstmOp : public AttentionOp {
 public:
  using AttentionOp::AttentionOp;

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& inputs = context->input(0);
    OP_REQUIRES(context, inputs.dims() == 3, tf::errors::InvalidArgument("inputs must be [S, B, 4U]"));
    Sizes sizes = sizes_;
    OP_REQUIRES_OK(context, GetSizes(context->input(1), context->input(2), context->input(3), context->input(4),
                                     inputs.dim_size(1), &sizes));
    sizes.steps = inputs.dim_size(0);
    OP_REQUIRES(context, inputs.dim_size(2) == sizes.gates(),
                tf::errors::InvalidArgument("inputs must have 4 values for each of ", sizes.units, " units"));
    tf::Tensor* outputs[5];
    const int64_t widths[] = {sizes.units, sizes.units, sizes.gates(), sizes.queries(), sizes.num_values()};
    for (int i = 0; i < 5; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(
          i, tf::TensorShape({sizes.steps, sizes.batch, widths[i]}), &outputs[i]));
    const PackedMatrix<T> kernel(Data<T>(context->input(1)), sizes.units, sizes.projection());
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(AttentionLstm<T>{
          sizes, kernel, Data<T>(inputs), Data<T>(context->input(2)), Data<T>(context->input(3)),
          Data<T>(context->input(4)), Data<T>(outputs[0]), Data<T>(outputs[1]), Data<T>(outputs[2]),
          Data<T>(outputs[3]), Data<T>(outputs[4]), begin, end});
    });
  }
};

template <typename T>
class AttentionLstmGradOp : public AttentionOp {
 public:
  using AttentionOp::AttentionOp;

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& c = context->input(4);
    OP_REQUIRES(context, c.dims() == 3, tf::errors::InvalidArgument("c must be [S, B, U]"));
    Sizes sizes = sizes_;
    OP_REQUIRES_OK(context, GetSizes(context->input(0), context->input(1), context->input(2), context->input(3),
                                     c.dim_size(1), &sizes));
    sizes.steps = c.dim_size(0);
    const int64_t widths[] = {sizes.units, sizes.gates(), sizes.queries(), sizes.num_values(), sizes.units};
    for (int i = 0; i < 5; ++i)
      OP_REQUIRES(context, context->input(4 + i).NumElements() == sizes.steps * sizes.batch * widths[i],
                  tf::errors::InvalidArgument("input ", 4 + i, " doesn't fit the others"));
    tf::Tensor *d_projection, *d_keys, *d_v;
    OP_REQUIRES_OK(context, context->allocate_output(
        0, tf::TensorShape({sizes.steps, sizes.batch, sizes.projection()}), &d_projection));
    OP_REQUIRES_OK(context, context->allocate_output(1, context->input(1).shape(), &d_keys));
    OP_REQUIRES_OK(context, context->allocate_output(
        2, tf::TensorShape({sizes.batch, static_cast<int64_t>(sizes.lengths.size()), sizes.attention_units}), &d_v));
    const PackedMatrix<T> transposed(Data<T>(context->input(0)), sizes.projection(), sizes.units, true);
    ForSamples(context, sizes.batch, [&](int64_t begin, int64_t end) {
      RunOnThisProcessor(AttentionLstmGradient<T>{
          sizes, transposed, Data<T>(context->input(1)), Data<T>(context->input(2)), Data<T>(context->input(3)),
          Data<T>(c), Data<T>(context->input(5)), Data<T>(context->input(6)), Data<T>(context->input(7)),
          Data<T>(context->input(8)), Data<T>(d_projection), Data<T>(d_keys), Data<T>(d_v), begin, end});
    });
  }
};

#define REGISTER(T)                                                                                        \
  REGISTER_KERNEL_BUILDER(Name("AsterAttentionLstm").Device(tf::DEVICE_CPU).TypeConstraint<T>("T"),        \
                          AttentionLstmOp<T>);                                                             \
  REGISTER_KERNEL_BUILDER(Name("AsterAttentionLstmGrad").Device(tf::DEVICE_CPU).TypeConstraint<T>("T"),    \
                          AttentionLstmGradOp<T>)
REGISTER(float);
REGISTER(double);
#undef REGISTER

}  // namespace
}  // namespace aster

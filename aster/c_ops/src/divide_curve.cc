// DivideCurve: points at even distances along a polyline.
#include "divide_curve.h"

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace aster {
namespace {

namespace tf = tensorflow;
using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

tf::Status DivideCurveShape(InferenceContext* context) {
  ShapeHandle curve;
  TF_RETURN_IF_ERROR(context->WithRankAtLeast(context->input(0), 2, &curve));
  TF_RETURN_IF_ERROR(context->WithRankAtMost(curve, 3, &curve));
  tf::shape_inference::DimensionHandle two;
  TF_RETURN_IF_ERROR(context->WithValue(context->Dim(curve, -1), 2, &two));
  int num_points;
  TF_RETURN_IF_ERROR(context->GetAttr("num_points", &num_points));
  if (!context->RankKnown(curve)) {
    context->set_output(0, context->UnknownShape());
    return tf::Status();
  }
  TF_RETURN_IF_ERROR(context->ReplaceDim(curve, -2, context->MakeDim(num_points), &curve));
  TF_RETURN_IF_ERROR(context->ReplaceDim(curve, -1, two, &curve));
  context->set_output(0, curve);
  return tf::Status();
}

REGISTER_OP("AsterDivideCurve")
    .Input("curve: float")
    .Output("points: float")
    .Attr("num_points: int >= 1")
    .SetShapeFn(DivideCurveShape)
    .Doc("Spreads num_points points evenly by arc length over a curve [n, 2] or [batch, n, 2].");

class DivideCurveOp : public tf::OpKernel {
 public:
  explicit DivideCurveOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_points", &num_points_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& curve = context->input(0);
    const int rank = curve.dims();
    const int64_t n = rank >= 2 ? curve.dim_size(rank - 2) : 0;
    OP_REQUIRES(context, (rank == 2 || rank == 3) && n >= 1 && curve.dim_size(rank - 1) == 2,
                tf::errors::InvalidArgument(
                    "divide_curve expects a curve of shape [n, 2] or [batch, n, 2] with n >= 1, "
                    "got ", curve.shape().DebugString()));
    tf::TensorShape shape = curve.shape();
    shape.set_dim(rank - 2, num_points_);
    tf::Tensor* points = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &points));
    const int64_t batch = rank == 3 ? curve.dim_size(0) : 1;
    for (int64_t i = 0; i < batch; ++i) {
      DivideCurve(curve.flat<float>().data() + i * n * 2, n, num_points_,
                  points->flat<float>().data() + i * num_points_ * 2);
    }
  }

 private:
  int num_points_;
};

REGISTER_KERNEL_BUILDER(Name("AsterDivideCurve").Device(tf::DEVICE_CPU), DivideCurveOp);

}  // namespace
}  // namespace aster

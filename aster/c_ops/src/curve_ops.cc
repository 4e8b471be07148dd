// divide_curve: points evenly spread along polylines.
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

#include "curve.h"

namespace aster {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

REGISTER_OP("AsterDivideCurve")
    .Input("curve: float")
    .Output("points: float")
    .Attr("num_points: int >= 1")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* c) {
      tensorflow::shape_inference::ShapeHandle curve;
      tensorflow::shape_inference::DimensionHandle two;
      int num_points;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &curve));
      TF_RETURN_IF_ERROR(c->WithValue(c->Dim(curve, 1), 2, &two));
      TF_RETURN_IF_ERROR(c->GetAttr("num_points", &num_points));
      c->set_output(0, c->Matrix(num_points, 2));
      return tensorflow::Status();
    });

class DivideCurveOp : public OpKernel {
 public:
  explicit DivideCurveOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_points", &num_points_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& curve = context->input(0);
    OP_REQUIRES(context, curve.dims() == 2 && curve.dim_size(0) >= 1 && curve.dim_size(1) == 2,
                tensorflow::errors::InvalidArgument("divide_curve expects points [n, 2] with n >= 1, got shape ",
                                                    curve.shape().DebugString()));
    Tensor* points = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, tensorflow::TensorShape({num_points_, 2}), &points));
    DivideCurve(curve.flat<float>().data(), static_cast<int>(curve.dim_size(0)), num_points_,
                points->flat<float>().data());
  }

 private:
  int num_points_;
};
REGISTER_KERNEL_BUILDER(Name("AsterDivideCurve").Device(tensorflow::DEVICE_CPU), DivideCurveOp);

}  // namespace aster

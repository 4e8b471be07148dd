// SplineGrid as a TensorFlow op.
#include "spline_grid.h"

#include <vector>

#include "op.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

REGISTER_OP("AsterSplineGrid")
    .Input("points: float")
    .Input("inverse: float")
    .Input("lift: float")
    .Output("grid: float")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle points, lift;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &points));
      TF_RETURN_IF_ERROR(context->WithRank(context->input(2), 2, &lift));
      context->set_output(0, context->MakeShape({context->Dim(points, 0), context->Dim(lift, 1), context->MakeDim(2)}));
      return tf::Status();
    })
    .Doc("Points [B, K, 2], inverse [K, K + 3], lift [K + 3, P], both transposed -> grid [B, P, 2]; see "
         "aster/c_ops/ops.py.");

class SplineGridOp : public Op {
 public:
  using Op::Op;

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor &points = context->input(0), &inverse = context->input(1), &lift = context->input(2);
    OP_REQUIRES(context, points.dims() == 3 && inverse.dims() == 2 && lift.dims() == 2 &&
                             HasShape(points, {points.dim_size(0), inverse.dim_size(0), 2}) &&
                             lift.dim_size(0) == inverse.dim_size(1) &&
                             std::min(inverse.dim_size(0), inverse.dim_size(1)) >= kFewestTerms,
                tf::errors::InvalidArgument("expected points [B, K, 2], inverse [K, C] and lift [C, P] with K and C ",
                                            kFewestTerms, " or more, got ", points.shape().DebugString(), ", ",
                                            inverse.shape().DebugString(), " and ", lift.shape().DebugString()));
    const int64_t num_points = inverse.dim_size(0), num_coefficients = inverse.dim_size(1), pixels = lift.dim_size(1);
    tf::Tensor* grid;
    OP_REQUIRES_OK(context, context->allocate_output(0, tf::TensorShape({points.dim_size(0), pixels, 2}), &grid));
    if (grid->NumElements() == 0) return;
    const float *from = Data<float>(points), *to_coefficients = Data<float>(inverse), *to_pixels = Data<float>(lift);
    float* to = Data<float>(grid);
    ForSamples(context, points.dim_size(0), [=](int64_t begin, int64_t end) {
      std::vector<float> coefficients(2 * num_coefficients);
      for (int64_t i = begin; i < end; ++i) {
        OrderedProduct(to_coefficients, num_coefficients, num_points, num_coefficients, from + i * num_points * 2,
                       coefficients.data());
        OrderedProduct(to_pixels, pixels, num_coefficients, num_coefficients, coefficients.data(),
                       to + i * pixels * 2);
      }
    });
  }
};

REGISTER_KERNEL_BUILDER(Name("AsterSplineGrid").Device(tf::DEVICE_CPU), SplineGridOp);

}  // namespace
}  // namespace aster

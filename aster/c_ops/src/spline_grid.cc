// SplineGrid as a TensorFlow op.
#include "spline_grid.h"

#include <vector>

#include "gpu_op.h"
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
    tf::Tensor* grid;
    OP_REQUIRES_OK(context, context->allocate_output(0, tf::TensorShape({points.dim_size(0), lift.dim_size(1), 2}),
                                                     &grid));
    if (grid->NumElements() == 0) return;
    Run(context, {points.dim_size(0), inverse.dim_size(0), inverse.dim_size(1), lift.dim_size(1)},
        Data<float>(points), Data<float>(inverse), Data<float>(lift), Data<float>(grid));
  }

  struct Sizes {
    int64_t batch, points, coefficients, pixels;
  };
  virtual void Run(tf::OpKernelContext* context, const Sizes& sizes, const float* points, const float* inverse,
                   const float* lift, float* grid) = 0;
};

class SplineGridOnCpu : public SplineGridOp {
 public:
  using SplineGridOp::SplineGridOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const float* points, const float* inverse,
           const float* lift, float* grid) override {
    ForSamples(context, sizes.batch, [=](int64_t begin, int64_t end) {
      std::vector<float> coefficients(2 * sizes.coefficients);
      for (int64_t i = begin; i < end; ++i) {
        OrderedProduct(inverse, sizes.coefficients, sizes.points, sizes.coefficients, points + i * sizes.points * 2,
                       coefficients.data());
        OrderedProduct(lift, sizes.pixels, sizes.coefficients, sizes.coefficients, coefficients.data(),
                       grid + i * sizes.pixels * 2);
      }
    });
  }
};

REGISTER_KERNEL_BUILDER(Name("AsterSplineGrid").Device(tf::DEVICE_CPU), SplineGridOnCpu);

#ifdef ASTER_CUDA
class SplineGridOnGpu : public SplineGridOp {
 public:
  using SplineGridOp::SplineGridOp;

 protected:
  void Run(tf::OpKernelContext* context, const Sizes& sizes, const float* points, const float* inverse,
           const float* lift, float* grid) override {
    // the kernel counts in ints
    OP_REQUIRES(context, sizes.coefficients <= gpu::SplineShape::kMostCoefficients && sizes.pixels <= kMost &&
                             sizes.batch <= kMost,
                tf::errors::Unimplemented("on a GPU a spline may have ", gpu::SplineShape::kMostCoefficients - 3,
                                          " control points, and ", kMost, " pixels or images at most"));
    const gpu::SplineShape shape{static_cast<int>(sizes.batch), static_cast<int>(sizes.points),
                                 static_cast<int>(sizes.coefficients), static_cast<int>(sizes.pixels)};
    OP_REQUIRES_OK(context, GpuStatus(gpu::SplineGrid(StreamOf(context), shape, points, inverse, lift, grid)));
  }
};

REGISTER_KERNEL_BUILDER(Name("AsterSplineGrid").Device(tf::DEVICE_GPU), SplineGridOnGpu);
#endif

}  // namespace
}  // namespace aster

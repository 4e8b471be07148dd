// Bilinear sampling as TensorFlow ops.
#include "bilinear_sample.h"

#include "gpu_op.h"
#include "op.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;
using tf::shape_inference::ShapeHandle;

REGISTER_OP("AsterBilinearSample")
    .Input("images: T")
    .Input("grid: T")
    .Output("samples: T")
    .Attr("T: {float, double}")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle images, grid;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &images));
      TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 3, &grid));
      context->set_output(0, context->MakeShape(
          {context->Dim(images, 0), context->Dim(grid, 1), context->Dim(images, 3)}));
      return tf::Status();
    })
    .Doc("Reads images [B, H, W, C] at the points of grid [B, P, 2]; see aster/c_ops/ops.py.");

REGISTER_OP("AsterBilinearSampleGridGrad")
    .Input("images: T")
    .Input("grid: T")
    .Input("d_samples: T")
    .Output("d_grid: T")
    .Attr("T: {float, double}")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(1));
      return tf::Status();
    });

REGISTER_OP("AsterBilinearSampleImageGrad")
    .Input("images: T")
    .Input("grid: T")
    .Input("d_samples: T")
    .Output("d_images: T")
    .Attr("T: {float, double}")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(0));
      return tf::Status();
    });

enum Result { SAMPLES, GRID_GRADIENT, IMAGE_GRADIENT };

template <typename T, Result kResult>
class BilinearSampleOp : public Op {
 public:
  using Op::Op;

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor &images = context->input(0), &grid = context->input(1);
    OP_REQUIRES(context, images.dims() == 4 && grid.dims() == 3 && grid.dim_size(2) == 2 &&
                             images.dim_size(0) == grid.dim_size(0) &&
                             (images.dim_size(0) == 0 || images.NumElements() > 0),
                tf::errors::InvalidArgument("expected images [B, H, W, C] and a grid [B, P, 2], got ",
                                            images.shape().DebugString(), " and ", grid.shape().DebugString()));
    const int64_t batch = images.dim_size(0);
    const SampleSizes sizes{images.dim_size(1), images.dim_size(2), images.dim_size(3), grid.dim_size(1)};
    OP_REQUIRES(context, kResult == SAMPLES || HasShape(context->input(2), {batch, sizes.points, sizes.channels}),
                tf::errors::InvalidArgument("d_samples must be [", batch, ", ", sizes.points, ", ", sizes.channels,
                                            "]"));
    tf::TensorShape shape = kResult == IMAGE_GRADIENT ? images.shape() : grid.shape();
    if (kResult == SAMPLES) shape.set_dim(2, sizes.channels);
    tf::Tensor* out;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &out));
    if (out->NumElements() == 0) return;
    Run(context, batch, sizes, Data<T>(images), Data<T>(grid),
        kResult == SAMPLES ? nullptr : Data<T>(context->input(2)), Data<T>(out));
  }

  virtual void Run(tf::OpKernelContext* context, int64_t batch, const SampleSizes& sizes, const T* images,
                   const T* grid, const T* d_samples, T* result) = 0;
};

template <typename T, Result kResult>
class BilinearSampleOnCpu : public BilinearSampleOp<T, kResult> {
 public:
  using BilinearSampleOp<T, kResult>::BilinearSampleOp;

 protected:
  void Run(tf::OpKernelContext* context, int64_t batch, const SampleSizes& sizes, const T* images, const T* grid,
           const T* d_samples, T* result) override {
    const int64_t image_size = sizes.height * sizes.width * sizes.channels, num_samples = sizes.points * sizes.channels;
    ForSamples(context, batch, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T *own_image = images + i * image_size, *own_grid = grid + i * sizes.points * 2;
        const T* own_d = d_samples + i * num_samples;
        if (kResult == SAMPLES) BilinearSample(sizes, own_image, own_grid, result + i * num_samples);
        if (kResult == GRID_GRADIENT)
          BilinearSampleGridGradient(sizes, own_image, own_grid, own_d, result + i * sizes.points * 2);
        if (kResult == IMAGE_GRADIENT)
          BilinearSampleImageGradient(sizes, own_grid, own_d, result + i * image_size);
      }
    });
  }
};

#define REGISTER_ON(device, OpClass, T)                                                                              \
  REGISTER_KERNEL_BUILDER(Name("AsterBilinearSample").Device(device).TypeConstraint<T>("T"), OpClass<T, SAMPLES>);   \
  REGISTER_KERNEL_BUILDER(Name("AsterBilinearSampleGridGrad").Device(device).TypeConstraint<T>("T"),                 \
                          OpClass<T, GRID_GRADIENT>);                                                                \
  REGISTER_KERNEL_BUILDER(Name("AsterBilinearSampleImageGrad").Device(device).TypeConstraint<T>("T"),                \
                          OpClass<T, IMAGE_GRADIENT>)
REGISTER_ON(tf::DEVICE_CPU, BilinearSampleOnCpu, float);
REGISTER_ON(tf::DEVICE_CPU, BilinearSampleOnCpu, double);

#ifdef ASTER_CUDA
template <typename T, Result kResult>
class BilinearSampleOnGpu : public BilinearSampleOp<T, kResult> {
 public:
  using BilinearSampleOp<T, kResult>::BilinearSampleOp;

 protected:
  void Run(tf::OpKernelContext* context, int64_t batch, const SampleSizes& sizes, const T* images, const T* grid,
           const T* d_samples, T* result) override {
    const gpu::SampleShape shape{batch, sizes.height, sizes.width, sizes.channels, sizes.points};
    const gpu::Stream stream = StreamOf(context);
    OP_REQUIRES_OK(context, GpuStatus(
        kResult == SAMPLES ? gpu::BilinearSample(stream, shape, images, grid, result)
        : kResult == GRID_GRADIENT ? gpu::BilinearSampleGridGradient(stream, shape, images, grid, d_samples, result)
        : gpu::BilinearSampleImageGradient(stream, shape, grid, d_samples, result)));
  }
};

REGISTER_ON(tf::DEVICE_GPU, BilinearSampleOnGpu, float);
REGISTER_ON(tf::DEVICE_GPU, BilinearSampleOnGpu, double);
#endif
#undef REGISTER_ON

}  // namespace
}  // namespace aster

// Batch normalization in training, with the ReLU after it, as TensorFlow ops. Models use them on GPUs; on CPUs
// TensorFlow's own are faster, and these show what the kernels for GPUs compute.
#include <algorithm>
#include <cmath>
#include <vector>

#include "gpu_op.h"
#include "op.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;

REGISTER_OP("AsterBatchNorm")
    .Input("x: T")
    .Input("scale: float")
    .Input("offset: float")
    .Output("y: T")
    .Output("mean: float")
    .Output("variance: float")
    .Output("inverse_deviation: float")
    .Attr("T: {float, bfloat16}")
    .Attr("epsilon: float")
    .Attr("relu: bool")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(0));
      for (int i = 1; i < 4; ++i) context->set_output(i, context->input(1));
      return tf::Status();
    })
    .Doc("Normalizes the last axis over all others; see aster/c_ops/ops.py.");

REGISTER_OP("AsterBatchNormGrad")
    .Input("d_y: T")
    .Input("x: T")
    .Input("scale: float")
    .Input("offset: float")
    .Input("mean: float")
    .Input("inverse_deviation: float")
    .Output("d_x: T")
    .Output("d_scale: float")
    .Output("d_offset: float")
    .Attr("T: {float, bfloat16}")
    .Attr("relu: bool")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(1));
      for (int i = 1; i < 3; ++i) context->set_output(i, context->input(2));
      return tf::Status();
    });

struct Shape {
  int64_t rows, channels;
};

// Checks x [..., C], and that the inputs from `first` on are [C].
tf::Status ShapeOf(tf::OpKernelContext* context, int x, int first, Shape* shape) {
  const tf::Tensor& images = context->input(x);
  if (images.dims() < 1 || images.NumElements() == 0)
    return tf::errors::InvalidArgument("there is nothing to normalize in x of shape ", images.shape().DebugString());
  shape->channels = images.dim_size(images.dims() - 1);
  shape->rows = images.NumElements() / shape->channels;
  for (int i = first; i < context->num_inputs(); ++i) {
    if (!HasShape(context->input(i), {shape->channels}))
      return tf::errors::InvalidArgument("input ", i, " must be [", shape->channels, "], not ",
                                         context->input(i).shape().DebugString());
  }
  if (x > 0 && context->input(0).shape() != images.shape())
    return tf::errors::InvalidArgument("d_y must have the shape of x");
  return tf::Status();
}

template <typename T>
class BatchNormOnCpu : public Op {
 public:
  explicit BatchNormOnCpu(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    Shape shape;
    OP_REQUIRES_OK(context, ShapeOf(context, 0, 1, &shape));
    tf::Tensor* outputs[4];
    for (int i = 0; i < 4; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i > 0).shape(), &outputs[i]));
    const T* x = Data<T>(context->input(0));
    const float *scale = Data<float>(context->input(1)), *offset = Data<float>(context->input(2));
    for (int64_t c = 0; c < shape.channels; ++c) {
      double sum = 0, squares = 0;
      for (int64_t i = c; i < shape.rows * shape.channels; i += shape.channels) sum += static_cast<float>(x[i]);
      const double mean = sum / shape.rows;
      for (int64_t i = c; i < shape.rows * shape.channels; i += shape.channels) {
        const double centered = static_cast<float>(x[i]) - mean;
        squares += centered * centered;
      }
      const double inverse = 1 / std::sqrt(squares / shape.rows + epsilon_);
      Data<float>(outputs[1])[c] = mean;
      Data<float>(outputs[2])[c] = squares / std::max<int64_t>(shape.rows - 1, 1);
      Data<float>(outputs[3])[c] = inverse;
      for (int64_t i = c; i < shape.rows * shape.channels; i += shape.channels) {
        const float value = (static_cast<float>(x[i]) - mean) * inverse * scale[c] + offset[c];
        Data<T>(outputs[0])[i] = static_cast<T>(relu_ && value < 0 ? 0.0f : value);
      }
    }
  }

 private:
  float epsilon_;
  bool relu_;
};

template <typename T>
class BatchNormGradOnCpu : public Op {
 public:
  explicit BatchNormGradOnCpu(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    Shape shape;
    OP_REQUIRES_OK(context, ShapeOf(context, 1, 2, &shape));
    tf::Tensor* outputs[3];
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i ? 2 : 1).shape(), &outputs[i]));
    const T *d_y = Data<T>(context->input(0)), *x = Data<T>(context->input(1));
    const float *scale = Data<float>(context->input(2)), *offset = Data<float>(context->input(3));
    const float *mean = Data<float>(context->input(4)), *inverse = Data<float>(context->input(5));
    for (int64_t c = 0; c < shape.channels; ++c) {
      const auto normalized = [&](int64_t i) { return (static_cast<float>(x[i]) - mean[c]) * inverse[c]; };
      const auto d = [&](int64_t i) {
        return relu_ && !(normalized(i) * scale[c] + offset[c] > 0) ? 0.0f : static_cast<float>(d_y[i]);
      };
      double sum = 0, product = 0;
      for (int64_t i = c; i < shape.rows * shape.channels; i += shape.channels) {
        sum += d(i);
        product += d(i) * normalized(i);
      }
      Data<float>(outputs[1])[c] = product;
      Data<float>(outputs[2])[c] = sum;
      for (int64_t i = c; i < shape.rows * shape.channels; i += shape.channels)
        Data<T>(outputs[0])[i] = static_cast<T>(static_cast<float>(
            scale[c] * inverse[c] * (d(i) - sum / shape.rows - normalized(i) * product / shape.rows)));
    }
  }

 private:
  bool relu_;
};

#define REGISTER_ON(device, Forward, Backward, T)                                                      \
  REGISTER_KERNEL_BUILDER(Name("AsterBatchNorm").Device(device).TypeConstraint<T>("T"), Forward<T>);   \
  REGISTER_KERNEL_BUILDER(Name("AsterBatchNormGrad").Device(device).TypeConstraint<T>("T"), Backward<T>)
REGISTER_ON(tf::DEVICE_CPU, BatchNormOnCpu, BatchNormGradOnCpu, float);
REGISTER_ON(tf::DEVICE_CPU, BatchNormOnCpu, BatchNormGradOnCpu, tf::bfloat16);

#ifdef ASTER_CUDA
template <typename T>
struct OnGpu { typedef T Type; };
template <>
struct OnGpu<tf::bfloat16> { typedef gpu::Bfloat16 Type; };

template <typename T>
const typename OnGpu<T>::Type* GpuData(const tf::Tensor& tensor) {
  return reinterpret_cast<const typename OnGpu<T>::Type*>(Data<T>(tensor));
}
template <typename T>
typename OnGpu<T>::Type* GpuData(tf::Tensor* tensor) {
  return reinterpret_cast<typename OnGpu<T>::Type*>(Data<T>(tensor));
}

template <typename T>
class BatchNormOnGpu : public Op {
 public:
  explicit BatchNormOnGpu(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    Shape sizes;
    OP_REQUIRES_OK(context, ShapeOf(context, 0, 1, &sizes));
    const gpu::NormShape shape{sizes.rows, static_cast<int>(sizes.channels), epsilon_, relu_};
    tf::Tensor *outputs[4], memory;
    for (int i = 0; i < 4; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i > 0).shape(), &outputs[i]));
    float* scratch;
    OP_REQUIRES_OK(context, Allocate(context, gpu::BatchNormScratch(shape), &memory, &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::BatchNorm(
        StreamOf(context), shape, GpuData<T>(context->input(0)), Data<float>(context->input(1)),
        Data<float>(context->input(2)), GpuData<T>(outputs[0]), Data<float>(outputs[1]), Data<float>(outputs[2]),
        Data<float>(outputs[3]), scratch)));
  }

 private:
  float epsilon_;
  bool relu_;
};

template <typename T>
class BatchNormGradOnGpu : public Op {
 public:
  explicit BatchNormGradOnGpu(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    Shape sizes;
    OP_REQUIRES_OK(context, ShapeOf(context, 1, 2, &sizes));
    const gpu::NormShape shape{sizes.rows, static_cast<int>(sizes.channels), 0, relu_};
    tf::Tensor *outputs[3], memory;
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i ? 2 : 1).shape(), &outputs[i]));
    float* scratch;
    OP_REQUIRES_OK(context, Allocate(context, gpu::BatchNormScratch(shape), &memory, &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::BatchNormGradient(
        StreamOf(context), shape, GpuData<T>(context->input(0)), GpuData<T>(context->input(1)),
        Data<float>(context->input(2)), Data<float>(context->input(3)), Data<float>(context->input(4)),
        Data<float>(context->input(5)), GpuData<T>(outputs[0]), Data<float>(outputs[1]), Data<float>(outputs[2]),
        scratch)));
  }

 private:
  bool relu_;
};

REGISTER_ON(tf::DEVICE_GPU, BatchNormOnGpu, BatchNormGradOnGpu, float);
REGISTER_ON(tf::DEVICE_GPU, BatchNormOnGpu, BatchNormGradOnGpu, tf::bfloat16);
#endif
#undef REGISTER_ON

}  // namespace
}  // namespace aster

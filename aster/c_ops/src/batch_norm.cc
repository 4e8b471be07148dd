// Batch normalization in training, with the ReLU after it, as TensorFlow ops. Models use them on GPUs; on CPUs
// TensorFlow's own are faster, and these show what the kernels for GPUs compute.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bfloat16.h"
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

// How the kernels see values of TensorFlow's type T.
template <typename T>
struct Stored { typedef T Type; };
template <>
struct Stored<tf::bfloat16> { typedef Bfloat16 Type; };

template <typename T>
const typename Stored<T>::Type* Values(const tf::Tensor& tensor) {
  return reinterpret_cast<const typename Stored<T>::Type*>(Data<T>(tensor));
}
template <typename T>
typename Stored<T>::Type* Values(tf::Tensor* tensor) {
  return reinterpret_cast<typename Stored<T>::Type*>(Data<T>(tensor));
}

// The inputs and outputs as the kernels see them; T is the stored type.
template <typename T>
struct ForwardArrays {
  const T* x;
  const float *scale, *offset;
  T* y;
  float *mean, *variance, *inverse;
};
template <typename T>
struct BackwardArrays {
  const T *d_y, *x;
  const float *scale, *offset, *mean, *inverse;
  T* d_x;
  float *d_scale, *d_offset;
};

template <typename T>
class BatchNormOp : public Op {
 public:
  typedef typename Stored<T>::Type Value;

  explicit BatchNormOp(tf::OpKernelConstruction* context) : Op(context) {
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
    Run(context, shape, {Values<T>(context->input(0)), Data<float>(context->input(1)), Data<float>(context->input(2)),
                         Values<T>(outputs[0]), Data<float>(outputs[1]), Data<float>(outputs[2]),
                         Data<float>(outputs[3])});
  }

  virtual void Run(tf::OpKernelContext* context, const Shape& shape, const ForwardArrays<Value>& arrays) = 0;

  float epsilon_;
  bool relu_;
};

template <typename T>
class BatchNormGradOp : public Op {
 public:
  typedef typename Stored<T>::Type Value;

  explicit BatchNormGradOp(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    Shape shape;
    OP_REQUIRES_OK(context, ShapeOf(context, 1, 2, &shape));
    tf::Tensor* outputs[3];
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i ? 2 : 1).shape(), &outputs[i]));
    Run(context, shape, {Values<T>(context->input(0)), Values<T>(context->input(1)), Data<float>(context->input(2)),
                         Data<float>(context->input(3)), Data<float>(context->input(4)),
                         Data<float>(context->input(5)), Values<T>(outputs[0]), Data<float>(outputs[1]),
                         Data<float>(outputs[2])});
  }

  virtual void Run(tf::OpKernelContext* context, const Shape& shape, const BackwardArrays<Value>& arrays) = 0;

  bool relu_;
};

template <typename T>
class BatchNormOnCpu : public BatchNormOp<T> {
 public:
  using BatchNormOp<T>::BatchNormOp;

 protected:
  void Run(tf::OpKernelContext*, const Shape& shape, const ForwardArrays<typename Stored<T>::Type>& at) override {
    const int64_t size = shape.rows * shape.channels;
    for (int64_t c = 0; c < shape.channels; ++c) {
      double sum = 0, squares = 0;
      for (int64_t i = c; i < size; i += shape.channels) sum += ToFloat(at.x[i]);
      const double mean = sum / shape.rows;
      for (int64_t i = c; i < size; i += shape.channels) squares += (ToFloat(at.x[i]) - mean) * (ToFloat(at.x[i]) - mean);
      const double inverse = 1 / std::sqrt(squares / shape.rows + this->epsilon_);
      at.mean[c] = mean;
      at.variance[c] = squares / std::max<int64_t>(shape.rows - 1, 1);
      at.inverse[c] = inverse;
      for (int64_t i = c; i < size; i += shape.channels) {
        const float value = (ToFloat(at.x[i]) - mean) * inverse * at.scale[c] + at.offset[c];
        FromFloat(this->relu_ && value < 0 ? 0.0f : value, &at.y[i]);
      }
    }
  }
};

template <typename T>
class BatchNormGradOnCpu : public BatchNormGradOp<T> {
 public:
  using BatchNormGradOp<T>::BatchNormGradOp;

 protected:
  void Run(tf::OpKernelContext*, const Shape& shape, const BackwardArrays<typename Stored<T>::Type>& at) override {
    const int64_t size = shape.rows * shape.channels;
    for (int64_t c = 0; c < shape.channels; ++c) {
      const auto normalized = [&](int64_t i) { return (ToFloat(at.x[i]) - at.mean[c]) * at.inverse[c]; };
      const auto d = [&](int64_t i) {
        return this->relu_ && !(normalized(i) * at.scale[c] + at.offset[c] > 0) ? 0.0f : ToFloat(at.d_y[i]);
      };
      double sum = 0, product = 0;
      for (int64_t i = c; i < size; i += shape.channels) {
        sum += d(i);
        product += d(i) * normalized(i);
      }
      at.d_scale[c] = product;
      at.d_offset[c] = sum;
      for (int64_t i = c; i < size; i += shape.channels)
        FromFloat(at.scale[c] * at.inverse[c] * (d(i) - sum / shape.rows - normalized(i) * product / shape.rows),
                  &at.d_x[i]);
    }
  }
};

#define REGISTER_ON(device, Forward, Backward, T)                                                      \
  REGISTER_KERNEL_BUILDER(Name("AsterBatchNorm").Device(device).TypeConstraint<T>("T"), Forward<T>);   \
  REGISTER_KERNEL_BUILDER(Name("AsterBatchNormGrad").Device(device).TypeConstraint<T>("T"), Backward<T>)
REGISTER_ON(tf::DEVICE_CPU, BatchNormOnCpu, BatchNormGradOnCpu, float);
REGISTER_ON(tf::DEVICE_CPU, BatchNormOnCpu, BatchNormGradOnCpu, tf::bfloat16);

#ifdef ASTER_CUDA
template <typename T>
class BatchNormOnGpu : public BatchNormOp<T> {
 public:
  using BatchNormOp<T>::BatchNormOp;

 protected:
  void Run(tf::OpKernelContext* context, const Shape& sizes,
           const ForwardArrays<typename Stored<T>::Type>& at) override {
    const gpu::NormShape shape{sizes.rows, static_cast<int>(sizes.channels), this->epsilon_, this->relu_};
    tf::Tensor memory;
    float* scratch;
    OP_REQUIRES_OK(context, Allocate(context, gpu::BatchNormScratch(shape), &memory, &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::BatchNorm(StreamOf(context), shape, at.x, at.scale, at.offset, at.y, at.mean,
                                                     at.variance, at.inverse, scratch)));
  }
};

template <typename T>
class BatchNormGradOnGpu : public BatchNormGradOp<T> {
 public:
  using BatchNormGradOp<T>::BatchNormGradOp;

 protected:
  void Run(tf::OpKernelContext* context, const Shape& sizes,
           const BackwardArrays<typename Stored<T>::Type>& at) override {
    const gpu::NormShape shape{sizes.rows, static_cast<int>(sizes.channels), 0, this->relu_};
    tf::Tensor memory;
    float* scratch;
    OP_REQUIRES_OK(context, Allocate(context, gpu::BatchNormScratch(shape), &memory, &scratch));
    OP_REQUIRES_OK(context, GpuStatus(gpu::BatchNormGradient(
        StreamOf(context), shape, at.d_y, at.x, at.scale, at.offset, at.mean, at.inverse, at.d_x, at.d_scale,
        at.d_offset, scratch)));
  }
};

REGISTER_ON(tf::DEVICE_GPU, BatchNormOnGpu, BatchNormGradOnGpu, float);
REGISTER_ON(tf::DEVICE_GPU, BatchNormOnGpu, BatchNormGradOnGpu, tf::bfloat16);
#endif
#undef REGISTER_ON

}  // namespace
}  // namespace aster

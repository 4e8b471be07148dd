// Between TensorFlow's ops and gpu.h. Without ASTER_CUDA, which setup.py sets, there are no kernels for GPUs.
#ifndef ASTER_C_OPS_GPU_OP_H_
#define ASTER_C_OPS_GPU_OP_H_
#ifdef ASTER_CUDA

#include "attention_ops.h"
#include "gpu.h"
#include "op.h"

namespace aster {

// setup.py sets EIGEN_USE_GPU, which the device's type needs.
inline gpu::Stream StreamOf(tf::OpKernelContext* context) { return context->eigen_gpu_device().stream(); }

inline tf::Status GpuStatus(int error) {
  if (error == 0) return tf::Status();
  return tf::errors::Internal("CUDA: ", gpu::ErrorText(error));
}

// Memory of the GPU for `count` values, as long as `tensor` is there. What runs on the op's stream may go on using
// it: TensorFlow gives freed memory only to what comes later on that stream.
template <typename T>
tf::Status Allocate(tf::OpKernelContext* context, int64_t count, tf::Tensor* tensor,
                            T** values) {
  TF_RETURN_IF_ERROR(context->allocate_temp(
      tf::DT_INT8, tf::TensorShape({static_cast<int64_t>(count * sizeof(T))}), tensor));
  *values = reinterpret_cast<T*>(tensor->flat<tf::int8>().data());
  return tf::Status();
}

inline tf::Status ShapeOf(const Sizes& sizes, gpu::AttentionShape* shape) {
  if (sizes.lengths.size() > gpu::AttentionShape::kMostMemories)
    return tf::errors::Unimplemented("on a GPU at most ", gpu::AttentionShape::kMostMemories, " memories");
  if (sizes.projection() > kMost)  // the kernels count in ints
    return tf::errors::Unimplemented("on a GPU at most ", kMost, " gates and queries");
  shape->steps = sizes.steps;
  shape->batch = sizes.batch;
  shape->units = sizes.units;
  shape->attention_units = sizes.attention_units;
  shape->num_memories = sizes.lengths.size();
  std::copy(sizes.lengths.begin(), sizes.lengths.end(), shape->lengths);
  shape->num_values = sizes.num_values();
  shape->forget_bias = sizes.forget_bias;
  shape->attend_first = sizes.attend_first;
  shape->reverse = sizes.reverse;
  return tf::Status();
}

}  // namespace aster

#endif  // ASTER_CUDA
#endif  // ASTER_C_OPS_GPU_OP_H_

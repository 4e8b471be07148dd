// What the files of TensorFlow ops share.
#ifndef ASTER_C_OPS_OP_H_
#define ASTER_C_OPS_OP_H_

#include "parallel.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace aster {

namespace tf = tensorflow;

template <typename T>
const T* Data(const tf::Tensor& tensor) { return tensor.flat<T>().data(); }
template <typename T>
T* Data(tf::Tensor* tensor) { return tensor->flat<T>().data(); }

// Registers an op's kernel for both of the types that its attribute T may have.
#define ASTER_REGISTER_KERNEL(name, device, OpClass)                                                \
  REGISTER_KERNEL_BUILDER(Name(name).Device(device).TypeConstraint<float>("T"), OpClass<float>);    \
  REGISTER_KERNEL_BUILDER(Name(name).Device(device).TypeConstraint<double>("T"), OpClass<double>)

}  // namespace aster

#endif  // ASTER_C_OPS_OP_H_

// What the files of TensorFlow ops share.
#ifndef ASTER_C_OPS_OP_H_
#define ASTER_C_OPS_OP_H_

#include <initializer_list>
#include <new>
#include <stdexcept>

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

// Whether a tensor is of this shape. (A TensorShape of sizes whose product overflows would end the process.)
inline bool HasShape(const tf::Tensor& tensor, std::initializer_list<int64_t> shape) {
  if (tensor.dims() != static_cast<int>(shape.size())) return false;
  int axis = 0;
  for (int64_t size : shape) {
    if (tensor.dim_size(axis++) != size) return false;
  }
  return true;
}

// An op that may throw: std::invalid_argument where an input can't be used, or what the standard library throws where
// there is not enough memory. TensorFlow itself lets no exception through; it would end the process.
class Op : public tf::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(tf::OpKernelContext* context) final {
    try {
      ComputeOrThrow(context);
    } catch (const std::invalid_argument& error) {
      context->SetStatus(tf::errors::InvalidArgument(error.what()));
    } catch (const std::bad_alloc&) {
      context->SetStatus(NoMemory());
    } catch (const std::length_error&) {  // of a vector
      context->SetStatus(NoMemory());
    }
  }

 protected:
  virtual void ComputeOrThrow(tf::OpKernelContext* context) = 0;

 private:
  tf::Status NoMemory() const {
    return tf::errors::ResourceExhausted(name(), ": not enough memory for inputs of these sizes");
  }
};

// Registers an op's kernel for both of the types that its attribute T may have.
#define ASTER_REGISTER_KERNEL(name, device, OpClass)                                                \
  REGISTER_KERNEL_BUILDER(Name(name).Device(device).TypeConstraint<float>("T"), OpClass<float>);    \
  REGISTER_KERNEL_BUILDER(Name(name).Device(device).TypeConstraint<double>("T"), OpClass<double>)

}  // namespace aster

#endif  // ASTER_C_OPS_OP_H_

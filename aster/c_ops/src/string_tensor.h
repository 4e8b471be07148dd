// What holds the strings of a tensor in this TensorFlow. setup.py passes its major version, since
// the headers of recent ones no longer say it.
#ifndef ASTER_C_OPS_STRING_TENSOR_H_
#define ASTER_C_OPS_STRING_TENSOR_H_

#include <string>

#include "tensorflow/core/framework/tensor.h"

namespace aster {

#if ASTER_TF_MAJOR == 1
typedef std::string TensorString;
#else
typedef tensorflow::tstring TensorString;
#endif

}  // namespace aster

#endif  // ASTER_C_OPS_STRING_TENSOR_H_

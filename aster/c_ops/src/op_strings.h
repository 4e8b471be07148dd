// The type of a string tensor's elements, which differs between TensorFlow 1.4 and 2.
#ifndef ASTER_C_OPS_OP_STRINGS_H_
#define ASTER_C_OPS_OP_STRINGS_H_

#include <cstdint>
#include <string>

#include "tensorflow/core/framework/tensor.h"

namespace aster {
#if ASTER_TF_MAJOR >= 2  // setup.py says it: the headers of 2.21 no longer do
using OpString = tensorflow::tstring;
#else
using OpString = std::string;
#endif
}  // namespace aster

#endif  // ASTER_C_OPS_OP_STRINGS_H_

// What the ops with attention share: attributes and checks of shapes.
#ifndef ASTER_C_OPS_ATTENTION_OPS_H_
#define ASTER_C_OPS_ATTENTION_OPS_H_

#include "attention_lstm.h"
#include "op.h"

namespace aster {

class AttentionOp : public tf::OpKernel {
 public:
  explicit AttentionOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::vector<int> lengths;
    OP_REQUIRES_OK(context, context->GetAttr("lengths", &lengths));
    OP_REQUIRES_OK(context, context->GetAttr("forget_bias", &sizes_.forget_bias));
    OP_REQUIRES_OK(context, context->GetAttr("attend_first", &sizes_.attend_first));
    OP_REQUIRES_OK(context, context->GetAttr("constant_kernels", &constant_kernels_));
    sizes_.lengths.assign(lengths.begin(), lengths.end());
    const bool as_keys = lengths.size() == 1 && lengths[0] == 0;
    for (int length : lengths)
      OP_REQUIRES(context, length > 0 || as_keys, tf::errors::InvalidArgument(
          "each of lengths must be 1 or more, or a single one 0, for all that the keys have"));
  }

 protected:
  // Fills in `sizes`, a copy of sizes_, from state_kernel [U, 4U + N A], keys [B, T, A], values [B, T, 4U], v [N, A].
  tf::Status GetSizes(const tf::Tensor& kernel, const tf::Tensor& keys,
                              const tf::Tensor& values, const tf::Tensor& v, int64_t batch,
                              Sizes* sizes) const {
    const bool right_ranks = kernel.dims() == 2 && keys.dims() == 3 && values.dims() == 3 && v.dims() == 2;
    if (right_ranks) {
      if (sizes->lengths.size() == 1 && sizes->lengths[0] == 0) sizes->lengths[0] = keys.dim_size(1);
      sizes->batch = batch;
      sizes->units = kernel.dim_size(0);
      sizes->attention_units = v.dim_size(1);
      const int64_t memories = sizes->lengths.size(), length = sizes->num_values();
      if ((length > 0 || memories == 0) && kernel.dim_size(1) == sizes->projection() && v.dim_size(0) == memories &&
          keys.shape() == tf::TensorShape({batch, length, sizes->attention_units}) &&
          values.shape() == tf::TensorShape({batch, length, sizes->gates()}))
        return tf::Status();
    }
    return tf::errors::InvalidArgument(
        "expected state_kernel [U, 4U + N A], keys [B, T, A], values [B, T, 4U], v [N, A] with B ", batch, ", N ",
        sizes->lengths.size(), ", T ", sizes->num_values(), "; got ", kernel.shape().DebugString(), ", ",
        keys.shape().DebugString(), ", ", values.shape().DebugString(), ", ", v.shape().DebugString());
  }

  Sizes sizes_;            // what the attributes tell
  bool constant_kernels_;  // whether they are the same in every call
};

}  // namespace aster

#endif  // ASTER_C_OPS_ATTENTION_OPS_H_

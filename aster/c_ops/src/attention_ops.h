// What the ops with attention share: attributes and checks of shapes.
#ifndef ASTER_C_OPS_ATTENTION_OPS_H_
#define ASTER_C_OPS_ATTENTION_OPS_H_

#include "attention_lstm.h"
#include "op.h"

namespace aster {

// The most units of a cell, and the most of any other size, so that no product of sizes overflows.
const int64_t kMostUnits = int64_t{1} << 17, kMost = int64_t{1} << 30;

class AttentionOp : public Op {
 public:
  explicit AttentionOp(tf::OpKernelConstruction* context) : Op(context) {
    std::vector<int> lengths;
    OP_REQUIRES_OK(context, context->GetAttr("lengths", &lengths));
    OP_REQUIRES_OK(context, context->GetAttr("forget_bias", &sizes_.forget_bias));
    OP_REQUIRES_OK(context, context->GetAttr("attend_first", &sizes_.attend_first));
    sizes_.lengths.assign(lengths.begin(), lengths.end());
    const bool as_keys = lengths.size() == 1 && lengths[0] == 0;
    for (int length : lengths)
      OP_REQUIRES(context, length > 0 || as_keys, tf::errors::InvalidArgument(
          "each of lengths must be 1 or more, or a single one 0, for all that the keys have"));
  }

 protected:
  // Fills in `sizes`, a copy of sizes_, from state_kernel [U, 4U + N A], keys [B, T, A], values [B, T, 4U], v [N, A].
  tf::Status GetSizes(const tf::Tensor& kernel, const tf::Tensor& keys, const tf::Tensor& values, const tf::Tensor& v,
                      int64_t batch, int64_t steps, Sizes* sizes) const {
    const int64_t memories = sizes->lengths.size();
    if (kernel.dims() == 2 && keys.dims() == 3 && v.dims() == 2) {
      if (memories == 1 && sizes->lengths[0] == 0) sizes->lengths[0] = keys.dim_size(1);
      sizes->batch = batch;
      sizes->steps = steps;
      sizes->units = kernel.dim_size(0);
      sizes->attention_units = v.dim_size(1);
      const int64_t length = sizes->num_values();
      // the sizes come first: what is computed of them overflows where they are too large
      if (sizes->units >= 1 && sizes->units <= kMostUnits && (length > 0 || memories == 0) &&
          std::max({batch, steps, memories, length, sizes->attention_units}) <= kMost &&
          HasShape(kernel, {sizes->units, sizes->projection()}) && v.dim_size(0) == memories &&
          HasShape(keys, {batch, length, sizes->attention_units}) && HasShape(values, {batch, length, sizes->gates()}))
        return tf::Status();
    }
    return tf::errors::InvalidArgument(
        "expected state_kernel [U, 4U + N A], keys [B, T, A], values [B, T, 4U], v [N, A] with B ", batch, ", N ",
        memories, ", T ", sizes->num_values(), ", U 1 to ", kMostUnits, " and no other size above ", kMost, "; got ",
        kernel.shape().DebugString(), ", ", keys.shape().DebugString(), ", ", values.shape().DebugString(), ", ",
        v.shape().DebugString());
  }

  Sizes sizes_;  // what the attributes tell
};

}  // namespace aster

#endif  // ASTER_C_OPS_ATTENTION_OPS_H_

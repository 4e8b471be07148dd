// string_filtering and string_reverse: text by code point.
#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/common_shape_fns.h"

#include "op_strings.h"
#include "utf8.h"

namespace aster {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

REGISTER_OP("AsterStringFiltering")
    .Input("strings: string")
    .Output("filtered: string")
    .Attr("lower_case: bool = false")
    .Attr("include_charset: string = ''")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape);

REGISTER_OP("AsterStringReverse")
    .Input("strings: string")
    .Output("reversed: string")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape);

// Applies `change` to the code points of every string of the first input.
template <typename Change>
void MapStrings(OpKernelContext* context, const Change& change) {
  const Tensor& input = context->input(0);
  Tensor* output = nullptr;
  OP_REQUIRES_OK(context, context->allocate_output(0, input.shape(), &output));
  const auto strings = input.flat<OpString>();
  auto results = output->flat<OpString>();
  for (int64_t i = 0; i < strings.size(); ++i) {
    std::vector<uint32_t> points = DecodeUtf8(strings(i).data(), strings(i).size());
    change(&points);
    std::string text;
    for (uint32_t point : points) AppendUtf8(point, &text);
    results(i) = text;
  }
}

class StringFilteringOp : public OpKernel {
 public:
  explicit StringFilteringOp(OpKernelConstruction* context) : OpKernel(context) {
    std::string charset;
    OP_REQUIRES_OK(context, context->GetAttr("lower_case", &lower_case_));
    OP_REQUIRES_OK(context, context->GetAttr("include_charset", &charset));
    const std::vector<uint32_t> points = DecodeUtf8(charset.data(), charset.size());
    included_.insert(points.begin(), points.end());
  }

  void Compute(OpKernelContext* context) override {
    MapStrings(context, [this](std::vector<uint32_t>* points) {
      if (lower_case_) std::transform(points->begin(), points->end(), points->begin(), ToLower);
      if (included_.empty()) return;
      points->erase(std::remove_if(points->begin(), points->end(),
                                   [this](uint32_t point) { return included_.count(point) == 0; }),
                    points->end());
    });
  }

 private:
  bool lower_case_;
  std::unordered_set<uint32_t> included_;
};
REGISTER_KERNEL_BUILDER(Name("AsterStringFiltering").Device(tensorflow::DEVICE_CPU), StringFilteringOp);

class StringReverseOp : public OpKernel {
 public:
  explicit StringReverseOp(OpKernelConstruction* context) : OpKernel(context) {}
  void Compute(OpKernelContext* context) override {
    MapStrings(context, [](std::vector<uint32_t>* points) { std::reverse(points->begin(), points->end()); });
  }
};
REGISTER_KERNEL_BUILDER(Name("AsterStringReverse").Device(tensorflow::DEVICE_CPU), StringReverseOp);

}  // namespace aster

// StringFiltering and StringReverse: text by code point.
#include <algorithm>
#include <string>
#include <vector>

#include "string_tensor.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "utf8.h"

namespace aster {
namespace {

namespace tf = tensorflow;

REGISTER_OP("AsterStringFiltering")
    .Input("strings: string")
    .Output("filtered: string")
    .Attr("lower_case: bool = false")
    .Attr("include_charset: string = ''")
    .SetShapeFn(tf::shape_inference::UnchangedShape)
    .Doc("Keeps the characters of include_charset, after lower-casing.");

REGISTER_OP("AsterStringReverse")
    .Input("strings: string")
    .Output("reversed: string")
    .SetShapeFn(tf::shape_inference::UnchangedShape)
    .Doc("Reverses the code points.");

// Applies Edit(code points) to every string.
class StringOp : public tf::OpKernel {
 public:
  explicit StringOp(tf::OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& input = context->input(0);
    tf::Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, input.shape(), &output));
    const auto strings = input.flat<TensorString>();
    auto edited = output->flat<TensorString>();
    for (int64_t i = 0; i < strings.size(); ++i) {
      std::vector<uint32_t> code_points = DecodeUtf8(strings(i).data(), strings(i).size());
      Edit(&code_points);
      std::string text;
      text.reserve(strings(i).size());
      for (uint32_t code_point : code_points) AppendUtf8(code_point, &text);
      edited(i) = text;
    }
  }

 private:
  virtual void Edit(std::vector<uint32_t>* code_points) const = 0;
};

class StringFilteringOp : public StringOp {
 public:
  explicit StringFilteringOp(tf::OpKernelConstruction* context) : StringOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("lower_case", &lower_case_));
    std::string charset;
    OP_REQUIRES_OK(context, context->GetAttr("include_charset", &charset));
    charset_ = DecodeUtf8(charset.data(), charset.size());
    std::sort(charset_.begin(), charset_.end());
  }

 private:
  void Edit(std::vector<uint32_t>* text) const override {
    if (lower_case_) std::transform(text->begin(), text->end(), text->begin(), LowerCase);
    if (charset_.empty()) return;
    const auto unwanted = [this](uint32_t code_point) {
      return !std::binary_search(charset_.begin(), charset_.end(), code_point);
    };
    text->erase(std::remove_if(text->begin(), text->end(), unwanted), text->end());
  }

  bool lower_case_;
  std::vector<uint32_t> charset_;  // sorted; empty: keep everything
};

class StringReverseOp : public StringOp {
 public:
  explicit StringReverseOp(tf::OpKernelConstruction* context) : StringOp(context) {}

 private:
  void Edit(std::vector<uint32_t>* text) const override {
    std::reverse(text->begin(), text->end());
  }
};

REGISTER_KERNEL_BUILDER(Name("AsterStringFiltering").Device(tf::DEVICE_CPU), StringFilteringOp);
REGISTER_KERNEL_BUILDER(Name("AsterStringReverse").Device(tf::DEVICE_CPU), StringReverseOp);

}  // namespace
}  // namespace aster

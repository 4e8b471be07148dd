// DecodeRecords as a TensorFlow op: records -> pixels and texts, by TensorFlow's own decoders of JPEG and PNG.
#include <algorithm>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "op.h"
#include "record.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/public/version.h"

namespace aster {
namespace {

using tf::shape_inference::InferenceContext;

#if TF_MAJOR_VERSION == 1
using String = std::string;
#else
using String = tf::tstring;
#endif

REGISTER_OP("AsterDecodeRecords")
    .Input("records: string")
    .Input("text_table: string")
    .Output("pixels: string")
    .Output("sizes: int32")
    .Output("texts: string")
    .Output("lexicons: string")
    .Output("filenames: string")
    .Output("control_points: float")
    .Output("keypoint_mask: float")
    .Output("states: int32")
    .Attr("decode_jpeg: func")
    .Attr("decode_png: func")
    .Attr("num_control_points: int >= 0")
    .Attr("max_pixels: int")
    .SetShapeFn([](InferenceContext* context) {
      const auto n = context->Dim(context->input(0), 0);
      for (int i = 0; i < context->num_outputs(); ++i) context->set_output(i, context->Vector(n));
      context->set_output(1, context->Matrix(n, 2));
      tf::int32 num_points;
      TF_RETURN_IF_ERROR(context->GetAttr("num_control_points", &num_points));
      context->set_output(5, context->MakeShape({n, context->MakeDim(num_points), context->MakeDim(2)}));
      return tf::Status();
    })
    .Doc("Records [n] -> what they contain, and in which state each is; see aster/c_ops/ops.py.");

enum State { kDone, kTextIsLeft, kAllIsLeft };

class DecodeRecordsOp : public Op {
 public:
  explicit DecodeRecordsOp(tf::OpKernelConstruction* context) : Op(context) {
    OP_REQUIRES_OK(context, context->GetAttr("decode_jpeg", &decode_jpeg_));
    OP_REQUIRES_OK(context, context->GetAttr("decode_png", &decode_png_));
    OP_REQUIRES_OK(context, context->GetAttr("num_control_points", &num_points_));
    OP_REQUIRES(context, num_points_ % 2 == 0, tf::errors::InvalidArgument("num_control_points must be even"));
    OP_REQUIRES_OK(context, context->GetAttr("max_pixels", &max_pixels_));
  }

 protected:
  void ComputeOrThrow(tf::OpKernelContext* context) override {
    const tf::Tensor &records = context->input(0), &table = context->input(1);
    OP_REQUIRES(context, records.dims() == 1 && table.dims() == 0 && Data<String>(table)->size() == 128,
                tf::errors::InvalidArgument("expected records [n] and a text_table of 128 bytes, got ",
                                            records.shape().DebugString(), " and ", table.shape().DebugString()));
    const int64_t n = records.dim_size(0);
    tf::Tensor *sizes, *states, *points, *mask, *strings[5];
    const int string_outputs[] = {0, 2, 3, 4};
    for (int i : string_outputs) {
      OP_REQUIRES_OK(context, context->allocate_output(i, tf::TensorShape({n}), &strings[i]));
    }
    OP_REQUIRES_OK(context, context->allocate_output(1, tf::TensorShape({n, 2}), &sizes));
    OP_REQUIRES_OK(context, context->allocate_output(5, tf::TensorShape({n, num_points_, 2}), &points));
    OP_REQUIRES_OK(context, context->allocate_output(6, tf::TensorShape({n}), &mask));
    OP_REQUIRES_OK(context, context->allocate_output(7, tf::TensorShape({n}), &states));
    std::fill_n(Data<float>(points), points->NumElements(), 0.0f);
    std::fill_n(Data<float>(mask), n, 0.0f);
    std::string text;
    for (int64_t i = 0; i < n; ++i) {
      const String& payload = Data<String>(records)[i];
      Record record;
      int32_t *size = Data<int32_t>(sizes) + 2 * i, *state = Data<int32_t>(states) + i;
      size[0] = size[1] = 0;
      *state = kAllIsLeft;
      tf::Tensor image;
      if (!ParseRecord(Bytes(payload.data(), payload.size()), &record) || !DecodeImage(context, record.encoded, &image)) {
        continue;
      }
      Data<String>(strings[0])[i].assign(reinterpret_cast<const char*>(Data<tf::uint8>(image)), image.NumElements());
      size[0] = image.dim_size(0), size[1] = image.dim_size(1);
      text.clear();
      const bool is_ascii = IsAscii(record.lexicon) && IsAscii(record.filename);
      *state = is_ascii && FilterText(record.text, Data<String>(table)->data(), &text) ? kDone : kTextIsLeft;
      if (*state != kDone) continue;
      if (num_points_ > 0) {
        Data<float>(mask)[i] = ControlPoints(record.keypoints, size[0], size[1], num_points_,
                                             Data<float>(points) + i * num_points_ * 2);
      }
      Data<String>(strings[2])[i].assign(text.data(), text.size());
      if (record.lexicon.size) Data<String>(strings[3])[i].assign(record.lexicon.data, record.lexicon.size);
      if (record.filename.size) Data<String>(strings[4])[i].assign(record.filename.data, record.filename.size);
    }
  }

 private:
  // Returns false if the file is none that TensorFlow decodes to the same pixels as Pillow, or is damaged.
  bool DecodeImage(tf::OpKernelContext* context, const Bytes& encoded, tf::Tensor* image) const {
    const tf::NameAttrList& decoder = IsPlainJpeg(encoded, max_pixels_) ? decode_jpeg_ : decode_png_;
    if (&decoder == &decode_png_ && !IsPlainPng(encoded, max_pixels_)) return false;
    tf::Tensor file(tf::DT_STRING, tf::TensorShape({}));
    Data<String>(&file)->assign(encoded.data, encoded.size);
    return Call(context, decoder, file, image) && image->dims() == 3 && image->dtype() == tf::DT_UINT8;
  }

  // Calls a function of the graph. An error of it is an answer here; in the graph, it would end the whole input.
  static bool Call(tf::OpKernelContext* context, const tf::NameAttrList& function, const tf::Tensor& input,
                   tf::Tensor* output) {
    tf::FunctionLibraryRuntime* library = context->function_library();
    tf::FunctionLibraryRuntime::Handle handle;
    if (!library || !library->Instantiate(function.name(), tf::AttrSlice(&function.attr()), &handle).ok()) return false;
    // all in this thread, since records are decoded in many threads already
    std::function<void(std::function<void()>)> run_here = [](std::function<void()> task) { task(); };
    tf::FunctionLibraryRuntime::Options options;
    options.runner = &run_here;
#if TF_MAJOR_VERSION == 1
    options.step_id = context->step_id();
#else
    options.run_all_kernels_inline = true;
#endif
    std::vector<tf::Tensor> results;
    std::promise<bool> is_good;
    library->Run(options, handle, {input}, &results,
                 [&is_good](const tf::Status& status) { is_good.set_value(status.ok()); });
    if (!is_good.get_future().get()) return false;
    *output = results.at(0);
    return true;
  }

  tf::NameAttrList decode_jpeg_, decode_png_;
  tf::int32 max_pixels_, num_points_;
};

REGISTER_KERNEL_BUILDER(Name("AsterDecodeRecords").Device(tf::DEVICE_CPU), DecodeRecordsOp);

}  // namespace
}  // namespace aster

// Sharing out the samples of a batch to TensorFlow's own threads.
#ifndef ASTER_C_OPS_PARALLEL_H_
#define ASTER_C_OPS_PARALLEL_H_

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>

#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace aster {

// Calls run(begin, end) for one range of samples per thread, and waits for all; then throws what one of them threw.
// TensorFlow's own Shard can't serve: the compiler of 1.4 passed arguments to a std::function otherwise than today's do.
inline void ForSamples(tensorflow::OpKernelContext* context, int64_t batch,
                       const std::function<void(int64_t, int64_t)>& run) {
  const auto& threads = *context->device()->tensorflow_cpu_worker_threads();
  const int64_t parts = std::min<int64_t>(threads.num_threads, batch);
  if (parts <= 1) return run(0, batch);
  std::mutex mutex;
  std::condition_variable all_done;
  int64_t left = parts;
  std::exception_ptr error;
  const auto run_part = [&](int64_t i) {
    std::exception_ptr own_error;
    try {
      run(i * batch / parts, (i + 1) * batch / parts);
    } catch (...) {
      own_error = std::current_exception();
    }
    std::lock_guard<std::mutex> lock(mutex);
    if (own_error) error = own_error;
    if (--left == 0) all_done.notify_one();
  };
  for (int64_t i = 1; i < parts; ++i) threads.workers->Schedule([&run_part, i]() { run_part(i); });
  run_part(0);
  std::unique_lock<std::mutex> lock(mutex);
  all_done.wait(lock, [&] { return left == 0; });
  if (error) std::rethrow_exception(error);
}

}  // namespace aster

#endif  // ASTER_C_OPS_PARALLEL_H_

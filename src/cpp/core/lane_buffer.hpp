// Memory for what the kernels work on.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace admrl {

// n floats, aligned to the widest vector (a load that crosses a cache line counts twice), not
// initialised: the thread that first writes a page pays for it.
class LaneBuffer {
 public:
  LaneBuffer() = default;
  explicit LaneBuffer(std::size_t n)
      : data_(static_cast<float*>(::operator new[](n * sizeof(float), kAlignment))) {}

  float* data() const noexcept { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(float* p) const noexcept { ::operator delete[](p, kAlignment); }
  };
  std::unique_ptr<float[], Free> data_;
};

}  // namespace admrl

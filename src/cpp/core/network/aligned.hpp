// Arrays that begin at a cache line: a vector register then never straddles two.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace admrl {

inline constexpr std::size_t kCacheLine = 64;

template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{kCacheLine}));
  }
  void deallocate(T* p, std::size_t) noexcept {
    ::operator delete(p, std::align_val_t{kCacheLine});
  }
  friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) noexcept { return true; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

// n floats that are not initialised: the thread that first writes a page pays for it.
class LaneBuffer {
 public:
  LaneBuffer() = default;
  explicit LaneBuffer(std::size_t n)
      : data_(static_cast<float*>(
            ::operator new[](n * sizeof(float), std::align_val_t{kCacheLine}))) {}

  float* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const noexcept {
      ::operator delete[](p, std::align_val_t{kCacheLine});
    }
  };
  std::unique_ptr<float[], Free> data_;
};

}  // namespace admrl

// Buffers for the threads of a parallel loop.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace admrl {

// As many things as threads can be at work; each is lent to one piece of work at a time, the one
// given back last first: it is still in that processor's cache.
template <class T>
class Loans {
 public:
  template <class Make>
  Loans(int count, Make make) {
    things_.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) things_.push_back(make());
    for (T& thing : things_) free_.push_back(&thing);
  }

  int count() const noexcept { return static_cast<int>(things_.size()); }

  // Gives the thing back at the end of its scope.
  class Loan {
   public:
    Loan(Loans& from, T* thing) : from_(from), thing_(thing) {}
    ~Loan() {
      const std::lock_guard lock(from_.mutex_);
      from_.free_.push_back(thing_);  // never more than there were: no allocation
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    T& operator*() const { return *thing_; }
    T* operator->() const { return thing_; }

   private:
    Loans& from_;
    T* thing_;
  };

  Loan take() {
    const std::lock_guard lock(mutex_);
    T* thing = free_.back();
    free_.pop_back();
    return {*this, thing};
  }

 private:
  std::mutex mutex_;
  std::vector<T> things_;
  std::vector<T*> free_;
};

}  // namespace admrl

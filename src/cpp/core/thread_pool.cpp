#include "core/thread_pool.hpp"

#include <chrono>
#include <string>

#include "core/error.hpp"
#include "core/subnormals.hpp"

namespace admrl {

namespace {

// Regions follow one another within microseconds: going to sleep and being woken takes longer.
constexpr auto kAlert = std::chrono::microseconds(100);

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) {
  if (num_threads < 1) {
    throw InvalidInput("num_threads: expected at least 1, got " + std::to_string(num_threads));
  }
  try {
    for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this] { serve(); });
  } catch (...) {  // the system has no more threads
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    regions_.fetch_add(1);
  }
  opened_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int tasks, Function function, const void* context) {
  if (tasks < 1) return;
  const std::lock_guard one(one_caller_);
  const FlushSubnormals flush;
  if (workers_.empty() || tasks == 1) {
    for (int i = 0; i < tasks; ++i) function(context, i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    function_ = function;
    context_ = context;
    tasks_ = tasks;
    next_.store(0);
    open_ = true;
    regions_.fetch_add(1);
  }
  opened_.notify_all();
  work();
  {
    const std::lock_guard lock(mutex_);
    open_ = false;  // who has not come in yet stays out
  }
  for (int spins = 0; inside_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < 1000) {
      pause();
    } else {
      std::this_thread::yield();  // the last piece is with a thread that waits for a core
    }
  }
}

void ThreadPool::work() {
  for (int i = next_.fetch_add(1); i < tasks_; i = next_.fetch_add(1)) function_(context_, i);
}

void ThreadPool::serve() noexcept {
  const FlushSubnormals flush;
  std::uint64_t seen = 0;
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + kAlert;
    while (regions_.load() == seen && std::chrono::steady_clock::now() < until) {
      for (int i = 0; i < 16; ++i) pause();
    }
    {
      std::unique_lock lock(mutex_);
      opened_.wait(lock, [&] { return stopping_ || regions_.load() != seen; });
      if (stopping_) return;
      seen = regions_.load();
      if (!open_) continue;
      inside_.fetch_add(1);
    }
    work();
    inside_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace admrl

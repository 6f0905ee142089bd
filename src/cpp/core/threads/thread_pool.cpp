#include "core/threads/thread_pool.hpp"

#include <chrono>

#include "core/check.hpp"
#include "core/threads/subnormals.hpp"

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
  require_at_least_one("num_threads", num_threads);
  try {
    for (int i = 1; i < num_threads; ++i) shared_->workers.emplace_back([this] { serve(); });
  } catch (...) {  // the system has no more threads
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  if (forks_ == num_forks()) {
    stop();
  } else {
    (void)shared_.release();  // nobody is there to be waited for
  }
}

void ThreadPool::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->regions.fetch_add(1);
  }
  shared_->opened.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(int tasks, Function function, const void* context) {
  if (tasks < 1) return;
  if (forks_ != num_forks() && !shared_->workers.empty()) throw WrongProcess("pool");
  const std::lock_guard one(shared_->one_caller);
  const FlushSubnormals flush;
  if (shared_->workers.empty() || tasks == 1) {
    for (int i = 0; i < tasks; ++i) function(context, i);
    return;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->function = function;
    shared_->context = context;
    shared_->tasks = tasks;
    shared_->next.store(0);
    shared_->open = true;
    shared_->regions.fetch_add(1);
  }
  shared_->opened.notify_all();
  work();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->open = false;  // who has not come in yet stays out
  }
  for (int spins = 0; shared_->inside.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < 1000) {
      pause();
    } else {
      std::this_thread::yield();  // the last piece is with a thread that waits for a core
    }
  }
}

void ThreadPool::work() {
  for (int i = shared_->next.fetch_add(1); i < shared_->tasks; i = shared_->next.fetch_add(1))
    shared_->function(shared_->context, i);
}

void ThreadPool::serve() noexcept {
  const FlushSubnormals flush;
  std::uint64_t seen = 0;
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + kAlert;
    while (shared_->regions.load() == seen && std::chrono::steady_clock::now() < until) {
      for (int i = 0; i < 16; ++i) pause();
    }
    {
      std::unique_lock lock(shared_->mutex);
      shared_->opened.wait(lock,
                           [&] { return shared_->stopping || shared_->regions.load() != seen; });
      if (shared_->stopping) return;
      seen = shared_->regions.load();
      if (!shared_->open) continue;
      shared_->inside.fetch_add(1);
    }
    work();
    shared_->inside.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace admrl

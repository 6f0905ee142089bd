// Threads that share short pieces of work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/threads/process.hpp"

namespace admrl {

// The pieces are handed out one by one to whoever is free: a thread that the system has put aside
// holds up no more than the piece it was at. Which thread does which piece is left to chance, so a
// result must not depend on it.
class ThreadPool {
 public:
  // The calling thread works, too: num_threads - 1 others are started.
  // Raises InvalidInput if num_threads is not positive, std::system_error if they cannot be had.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const noexcept { return static_cast<int>(shared_->workers.size()) + 1; }

  // Calls task(i) once for each i in [0, tasks), the lowest first, and returns when all are done.
  // task must not throw. Thread-safe: a second caller waits. Not from inside a task.
  // Raises WrongProcess in a forked child, which has none of the threads.
  // Subnormal numbers are 0 in a task (subnormals.hpp).
  template <class Task>
  void for_each(int tasks, const Task& task) {
    run(tasks, [](const void* context, int i) { (*static_cast<const Task*>(context))(i); }, &task);
  }

 private:
  using Function = void (*)(const void* context, int i);

  void run(int tasks, Function function, const void* context);
  void work();  // of the region that is open
  void serve() noexcept;
  void stop();  // ends and joins the workers

  // What the threads share. It is left alone where they are not: in a forked child.
  struct Shared {
    std::mutex one_caller;
    std::mutex mutex;  // guards what is not atomic; a region opens, is entered and closes under it
    std::condition_variable opened;
    bool open = false;
    bool stopping = false;
    int tasks = 0;
    Function function = nullptr;
    const void* context = nullptr;
    std::atomic<int> next{0};               // first piece that is not handed out
    std::atomic<int> inside{0};             // threads other than the caller in the region
    std::atomic<std::uint64_t> regions{0};  // opened so far
    std::vector<std::thread> workers;
  };
  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
  int forks_ = num_forks();
};

}  // namespace admrl

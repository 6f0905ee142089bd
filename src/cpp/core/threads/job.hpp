// Pieces of work of different kinds that run side by side.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <utility>

#include "core/error.hpp"
#include "core/threads/thread_pool.hpp"

namespace admrl {

class Job {
 public:
  // Has a job to itself in its scope. Raises InUse if another has it.
  class Claim {
   public:
    explicit Claim(const Job& job) : job_(job) {
      if (job.claimed_.exchange(true)) {
        throw InUse("job: expected one that nobody runs, got one that another thread runs now");
      }
    }
    ~Claim() { job_.claimed_.store(false); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    const Job& job_;
  };

  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;
  // May use the pool it is given; its result must not depend on the number of threads. May throw.
  virtual void run(ThreadPool& pool) = 0;
  // Keeps what the job borrows from as long as it lives.
  void keep(std::shared_ptr<const void> owner) { owner_ = std::move(owner); }

 private:
  std::shared_ptr<const void> owner_;
  mutable std::atomic<bool> claimed_{false};
};

// Runs every job once, the first ones first. Raises InUse, before any of them runs, if one of them
// is being run elsewhere. One job alone gets the whole pool; of several, each is
// done by a single thread. If some throw, the others run all the same, and the exception of the
// first of them is thrown on. Subnormal numbers are 0 in a job (subnormals.hpp).
void run_jobs(ThreadPool& pool, std::span<Job* const> jobs);

}  // namespace admrl

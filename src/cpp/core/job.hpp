// Pieces of work of different kinds that run side by side.
#pragma once

#include <span>

#include "core/thread_pool.hpp"

namespace admrl {

class Job {
 public:
  virtual ~Job() = default;
  // May use the pool it is given; its result must not depend on the number of threads. May throw.
  virtual void run(ThreadPool& pool) = 0;
};

// Runs every job once, the first ones first. One job alone gets the whole pool; of several, each is
// done by a single thread. If some throw, the others run all the same, and the exception of the
// first of them is thrown on. Subnormal numbers are 0 in a job (subnormals.hpp).
void run_jobs(ThreadPool& pool, std::span<Job* const> jobs);

}  // namespace admrl

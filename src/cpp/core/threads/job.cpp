#include "core/threads/job.hpp"

#include <cstddef>
#include <deque>
#include <exception>
#include <vector>

#include "core/threads/subnormals.hpp"

namespace admrl {

void run_jobs(ThreadPool& pool, std::span<Job* const> jobs) {
  std::deque<Job::Claim> claims;
  for (const Job* job : jobs) claims.emplace_back(*job);
  const FlushSubnormals flush;
  if (jobs.size() == 1) {
    jobs.front()->run(pool);
    return;
  }
  std::vector<std::exception_ptr> errors(jobs.size());
  pool.for_each(static_cast<int>(jobs.size()), [&](int i) {
    const auto index = static_cast<std::size_t>(i);
    try {
      ThreadPool alone(1);
      jobs[index]->run(alone);
    } catch (...) {
      errors[index] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace admrl

// The thread pool: every piece once, whatever the number of threads; several callers at once.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/job.hpp"
#include "core/thread_pool.hpp"

namespace {

using namespace admrl;

void test_every_piece_once() {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.num_threads() == threads);
    for (const int tasks : {0, 1, 2, 7, 1000}) {
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<int> count(static_cast<std::size_t>(tasks));  // not atomic: TSan sees a race
        pool.for_each(tasks, [&](int i) { ++count[static_cast<std::size_t>(i)]; });
        CHECK(count == std::vector<int>(count.size(), 1));
      }
    }
  }
  CHECK_THROWS(ThreadPool(0), InvalidInput);
}

void test_sleeping_workers_come_back() {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.for_each(100, [&](int) { ++done; });
  }
  CHECK(done == 500);
}

void test_two_callers() {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  const auto caller = [&] {
    for (int repeat = 0; repeat < 200; ++repeat) pool.for_each(10, [&](int) { ++done; });
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK(done == 4000);
}

class Counted : public Job {
 public:
  explicit Counted(const char* error) : error_(error) {}
  void run(ThreadPool& pool) override {
    threads = pool.num_threads();
    ++runs;
    if (error_ != nullptr) throw std::runtime_error(error_);
  }
  int runs = 0, threads = 0;

 private:
  const char* error_;
};

void test_jobs_run_though_others_fail() {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Counted good(nullptr), first("first"), second("second"), last(nullptr);
    Job* const jobs[] = {&good, &first, &second, &last};
    std::string message;
    try {
      run_jobs(pool, jobs);
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "first");
    for (const Counted* job : {&good, &first, &second, &last}) {
      CHECK(job->runs == 1 && job->threads == 1);
    }
    Job* const alone[] = {&good};
    run_jobs(pool, alone);
    CHECK(good.threads == threads);
  }
}

}  // namespace

int main() {
  test_every_piece_once();
  test_sleeping_workers_come_back();
  test_two_callers();
  test_jobs_run_though_others_fail();
  return admrl_test::failures != 0;
}

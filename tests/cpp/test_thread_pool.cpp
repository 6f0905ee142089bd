// The thread pool: every piece once, whatever the number of threads; several callers at once.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/threads/job.hpp"
#include "core/threads/thread_pool.hpp"

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

// Half of the smallest normal number, computed where the compiler cannot.
float subnormal() {
  const volatile float smallest = std::numeric_limits<float>::min();
  return smallest / 2;
}

// A subnormal number, computed before, times 2^24.
float enlarged(float number) {
  const volatile float operand = number;
  return operand * 16777216.0F;
}

class Halving : public Job {
 public:
  void run(ThreadPool&) override { half = subnormal(); }
  float half = -1;
};

void test_subnormal_numbers_are_zero_in_pieces_and_jobs_alone() {
  const float kept = subnormal();
  const auto untouched = [&] { return subnormal() == kept && enlarged(kept) > 0; };
  CHECK(kept > 0 && untouched());
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (const int tasks : {1, 3}) {
      std::atomic<int> arrived{0}, flushed{0};
      pool.for_each(tasks, [&](int) {
        ++arrived;
        if (threads > 1) {
          while (arrived < tasks) std::this_thread::yield();  // so that every thread has a piece
        }
        if (subnormal() == 0 && enlarged(kept) == 0) ++flushed;
      });
      CHECK(flushed == tasks && untouched());
    }
    Halving first, second;
    Job* const jobs[] = {&first, &second};
    run_jobs(pool, std::span(jobs).first(1));
    CHECK(first.half == 0 && untouched());
    run_jobs(pool, jobs);
    CHECK(second.half == 0 && untouched());
  }
}

}  // namespace

int main() {
  test_every_piece_once();
  test_sleeping_workers_come_back();
  test_two_callers();
  test_jobs_run_though_others_fail();
  test_subnormal_numbers_are_zero_in_pieces_and_jobs_alone();
  return admrl_test::failures != 0;
}

#include "core/threads/thread_pool.hpp"

#include <algorithm>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/error.hpp"
#include "core/threads/job.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

void run(ThreadPool& pool, const py::sequence& items) {
  const py::tuple jobs(items);  // kept while they run
  std::vector<Job*> pointers;
  for (const py::handle job : jobs) {
    Job* pointer = &py::cast<Job&>(job);
    if (std::find(pointers.begin(), pointers.end(), pointer) != pointers.end()) {
      throw InvalidInput("jobs: expected each once, got one of them twice");
    }
    pointers.push_back(pointer);
  }
  const ReleasedGil released;
  run_jobs(pool, pointers);
}

}  // namespace

void bind_thread_pool(py::module_& m) {
  py::classh<Job>(m, "Job",
                  "Work that ThreadPool.run does; its kinds are TrpoUpdate and ValueFit.");
  py::classh<ThreadPool>(m, "ThreadPool", R"(Native threads that share the work of one call.

Args:
    num_threads: threads that work at once, the caller's among them.

Raises:
    ValueError: num_threads is not positive.

Determinism: no result depends on the number of threads.)")
      .def(py::init<int>(), py::arg("num_threads"))
      .def_property_readonly("num_threads", &ThreadPool::num_threads)
      .def("run", &run, py::arg("jobs"),
           R"(Runs jobs side by side, the first ones first; returns when all are done.

One job alone is shared by all threads; of several, each is done by a single thread.

Raises:
    ValueError: a job is there twice.
    RuntimeError: another thread runs one of them now, or the pool is that of a parent process; none
        has run.
    What a job raises, the first of them if there are several; the others are done all the same.)");
}

}  // namespace admrl

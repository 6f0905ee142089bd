#include "bindings/gil.hpp"

#include <atomic>
#include <chrono>
#include <thread>

namespace admrl {

namespace py = pybind11;

namespace {

std::atomic<bool> ending{false};
std::atomic<int> asking{0};  // threads on their way to the lock
std::thread::id ender;       // who ends the interpreter may have its lock

// Before a thread asks for the lock; `has_it` afterwards.
void ask() noexcept {
  asking.fetch_add(1);
  if (!ending.load() || std::this_thread::get_id() == ender) return;
  asking.fetch_sub(1);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

void has_it() noexcept { asking.fetch_sub(1); }

// Called by the interpreter while other threads can still get its lock: lets those have it that
// have asked.
void end() {
  ender = std::this_thread::get_id();
  ending.store(true);
  const py::gil_scoped_release released;
  while (asking.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

ReleasedGil::ReleasedGil() : state_(PyEval_SaveThread()) {}

ReleasedGil::~ReleasedGil() {
  ask();
  PyEval_RestoreThread(state_);
  has_it();
}

HeldGil::HeldGil() {
  ask();
  state_ = PyGILState_Ensure();
  has_it();
}

HeldGil::~HeldGil() { PyGILState_Release(state_); }

std::function<void()> poll_signals() {
  return [] {
    const HeldGil held;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

void watch_the_end() { py::module_::import("atexit").attr("register")(py::cpp_function(&end)); }

}  // namespace admrl

// The interpreter's lock, given up and taken again: also where the interpreter ends meanwhile.
//
// A daemon thread may be in a native call when the main thread ends the interpreter. Python then
// ends whoever asks for its lock by unwinding the stack, which aborts the process in a destructor.
// Here such a thread asks no more: it sleeps until the process is gone.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>

namespace admrl {

// Without the lock in its scope, which begins with it.
class ReleasedGil {
 public:
  ReleasedGil();
  ~ReleasedGil();
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

 private:
  PyThreadState* state_;
};

// With the lock in its scope, from inside a ReleasedGil's.
class HeldGil {
 public:
  HeldGil();
  ~HeldGil();
  HeldGil(const HeldGil&) = delete;
  HeldGil& operator=(const HeldGil&) = delete;

 private:
  PyGILState_STATE state_;
};

// Lets Python handle signals (Ctrl-C) during a call that has released the lock.
std::function<void()> poll_signals();

// Registers what has to happen when the interpreter ends.
void watch_the_end();

}  // namespace admrl

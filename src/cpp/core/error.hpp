// The exceptions of the core. The bindings translate each once (bindings/errors.cpp).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace admrl {

// Bad input from the caller: what was expected and what came. Python: ValueError.
struct InvalidInput : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Numbers that an update or an evaluation cannot go on with. Python: admrl_native.NotFiniteError, a
// ValueError.
struct NotFinite : InvalidInput {
  using InvalidInput::InvalidInput;
};

// MuJoCo raised an error in some environments; they kept the state they had before the call and
// the others ran to completion. Python: admrl_native.SimulationError.
struct SimulationError : std::runtime_error {
  SimulationError(std::vector<int> ids, const std::string& message)
      : std::runtime_error(message), env_ids(std::move(ids)) {}
  std::vector<int> env_ids;
};

// A forked child uses threads that only its parent has. Python: RuntimeError.
struct WrongProcess : std::runtime_error {
  explicit WrongProcess(const std::string& what)
      : std::runtime_error(what +
                           ": expected one made in this process, got the parent's, whose threads "
                           "a forked child has not; make another, or start processes by spawn") {}
};

// A job is given to a pool while another runs it. Python: RuntimeError.
struct InUse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A callback or a recurrence produced a value with which a solve cannot go on.
// Python: admrl_native.SolverError.
struct SolverError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace admrl

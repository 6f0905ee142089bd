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

// A callback or a recurrence produced a value with which a solve cannot go on.
// Python: admrl_native.SolverError.
struct SolverError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace admrl

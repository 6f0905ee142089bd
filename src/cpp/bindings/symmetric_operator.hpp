// What the bindings of the solvers share: H as a Python callback, and the names of the reasons.
#pragma once

#include <pybind11/pybind11.h>

#include "core/solve/symmetric_operator.hpp"

namespace admrl {

// H as a call of Python, with the GIL, which the solver has released. A signal that came meanwhile
// is handled there: its exception (KeyboardInterrupt) ends the solve, as one from the callback
// does. `hvp` has to outlive the result.
SymmetricOperator call_back(const pybind11::function& hvp);

const char* text(StopReason reason);

}  // namespace admrl

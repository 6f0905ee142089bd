#include "bindings/symmetric_operator.hpp"

#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/gil.hpp"

namespace admrl {

namespace py = pybind11;

const char* text(StopReason reason) {
  switch (reason) {
    case StopReason::converged:
      return "converged";
    case StopReason::max_iterations:
      return "max_iterations";
    case StopReason::stagnated:
      return "stagnated";
    case StopReason::indefinite:
      return "indefinite";
    case StopReason::zero_right_hand_side:
      return "zero_right_hand_side";
  }
  return "";
}

SymmetricOperator call_back(const py::function& hvp) {
  return [&hvp](std::span<const double> x, std::span<double> out) {
    const HeldGil held;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    const auto size = static_cast<py::ssize_t>(x.size());
    // A fresh array: the callback may keep it.
    NewArray<double> argument({size});
    std::copy(x.begin(), x.end(), argument.span.begin());
    const py::object product = hvp(argument.array);
    std::span<const double> values;
    try {
      values = read_span<double>(product, "hvp", {{"P", size}});
    } catch (const InvalidInput& e) {
      throw SolverError(e.what());
    }
    std::copy(values.begin(), values.end(), out.begin());
  };
}

}  // namespace admrl

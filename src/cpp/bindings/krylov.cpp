#include "core/krylov.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

constexpr std::array<std::pair<const char*, KrylovMethod>, 3> kMethods{
    {{"cgnr", KrylovMethod::cgnr}, {"minres", KrylovMethod::minres}, {"cg", KrylovMethod::cg}}};

KrylovMethod method_named(const std::string& name) {
  for (const auto& [known, method] : kMethods) {
    if (name == known) return method;
  }
  throw InvalidInput("method: expected one of cgnr, minres, cg, got '" + name + "'");
}

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

py::array_t<double> new_array(std::span<const double> values) {
  NewArray<double> copy({static_cast<py::ssize_t>(values.size())});
  std::copy(values.begin(), values.end(), copy.span.begin());
  return copy.array;
}

// Calls Python with the GIL, which the solver has released. A signal that came meanwhile is handled
// here: its exception (KeyboardInterrupt) ends the solve, as one from the callback does.
SymmetricOperator call_back(const py::function& hvp) {
  return [&hvp](std::span<const double> x, std::span<double> out) {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    // A fresh array: the callback may keep it.
    const py::object product = hvp(new_array(x));
    std::span<const double> values;
    try {
      values = read_span<double>(product, "hvp", {{"P", static_cast<py::ssize_t>(x.size())}});
    } catch (const InvalidInput& e) {
      throw SolverError(e.what());
    }
    std::copy(values.begin(), values.end(), out.begin());
  };
}

py::tuple solve_symmetric_py(const py::function& hvp, const py::object& b,
                             const std::string& method, double damping, int max_iterations,
                             double tolerance) {
  const KrylovSettings settings{method_named(method), damping, max_iterations, tolerance};
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  KrylovResult result;
  {
    const py::gil_scoped_release release;
    result = solve_symmetric(call_back(hvp), rhs, settings);
  }
  return py::make_tuple(new_array(result.solution), result.residual, result.regularised_residual,
                        result.iterations, result.products, text(result.reason),
                        new_array(result.history));
}

}  // namespace

void bind_krylov(py::module_& m) {
  m.def("solve_symmetric", &solve_symmetric_py, py::arg("hvp"), py::arg("b"), py::kw_only(),
        py::arg("method"), py::arg("damping"), py::arg("max_iterations"), py::arg("tolerance"),
        R"(The solve behind `admrl_native.solve_symmetric`, on numpy float64 arrays alone.

Args:
    hvp: H x, (P,) float64, from x, (P,) float64; called with the GIL held, which the solver releases.
    b: (P,) float64, viewed.
    method: "cgnr", "minres" or "cg".
    damping: mu, see core/krylov.hpp.
    max_iterations: iterations at most.
    tolerance: relative residual of the regularised system at which to stop.

Returns:
    solution (P,) float64, residual, regularised residual, iterations, products, reason, history.

Raises:
    ValueError: bad settings or b.
    SolverError: hvp returns another shape or type, or a non-finite value.
    Whatever hvp raises, unchanged.)");
}

}  // namespace admrl

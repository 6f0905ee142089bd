#include "core/solve/krylov.hpp"

#include <array>
#include <string>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/symmetric_operator.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

constexpr std::array<std::pair<const char*, KrylovMethod>, 5> kMethods{
    {{"cgnr", KrylovMethod::cgnr},
     {"minres", KrylovMethod::minres},
     {"cg", KrylovMethod::cg},
     {"dense", KrylovMethod::dense},
     {"auto", KrylovMethod::automatic}}};

KrylovMethod method_named(const std::string& name) {
  std::string names;
  for (const auto& [known, method] : kMethods) {
    if (name == known) return method;
    names.append(names.empty() ? "" : ", ").append(known);
  }
  throw InvalidInput("method: expected one of " + names + ", got '" + name + "'");
}

const char* name_of(KrylovMethod method) {
  for (const auto& [name, known] : kMethods) {
    if (method == known) return name;
  }
  return "";
}

py::tuple solve_symmetric_py(const py::function& hvp, const py::object& b,
                             const std::string& method, double damping, int max_iterations,
                             double tolerance, double rounding) {
  const KrylovSettings settings{method_named(method), damping, max_iterations, tolerance, rounding};
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  KrylovResult result;
  {
    const ReleasedGil released;
    result = solve_symmetric(call_back(hvp), rhs, settings);
  }
  return py::make_tuple(copied(result.solution), result.residual, result.regularised_residual,
                        result.iterations, result.products, text(result.reason),
                        copied(result.history), name_of(result.method), result.why);
}

}  // namespace

void bind_krylov(py::module_& m) {
  m.def("solve_symmetric", &solve_symmetric_py, py::arg("hvp"), py::arg("b"), py::kw_only(),
        py::arg("method"), py::arg("damping"), py::arg("max_iterations"), py::arg("tolerance"),
        py::arg("rounding"),
        R"(The solve behind `admrl_native.solve_symmetric`, on numpy float64 arrays alone.

Args:
    hvp: H x, (P,) float64, from x, (P,) float64; called with the GIL held, which the solver releases.
    b: (P,) float64, viewed.
    method: "cgnr", "minres", "cg", "dense" or "auto".
    damping: mu, see core/solve/krylov.hpp.
    max_iterations: iterations at most.
    tolerance: relative residual of the regularised system at which to stop.
    rounding: relative spacing of the type in which hvp computes.

Returns:
    solution (P,) float64, residual, regularised residual, iterations, products, reason, history,
    the method that ran, why it did.

Raises:
    ValueError: bad settings or b.
    SolverError: hvp returns another shape or type, or a non-finite value, or is not symmetric.
    Whatever hvp raises, unchanged.)");
}

}  // namespace admrl

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

KrylovResult solve_symmetric_py(const py::function& hvp, const py::object& b,
                                const KrylovSettings& settings) {
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  const ReleasedGil released;
  return solve_symmetric(call_back(hvp), rhs, settings);
}

}  // namespace

void bind_krylov(py::module_& m) {
  py::classh<KrylovSettings>(m, "KrylovSettings", R"(How `solve_symmetric` goes; checked by it.

Args:
    method: "cgnr", "minres", "cg", "dense" or "auto".
    damping: mu, see core/solve/krylov.hpp.
    max_iterations: iterations at most.
    tolerance: relative residual of the regularised system at which to stop.
    rounding: relative spacing of the type in which hvp computes.

Raises:
    ValueError: an unknown method.)")
      .def(py::init([](const std::string& method, double damping, int max_iterations,
                       double tolerance, double rounding) {
             return KrylovSettings{method_named(method), damping, max_iterations, tolerance,
                                   rounding};
           }),
           py::kw_only(), py::arg("method"), py::arg("damping"), py::arg("max_iterations"),
           py::arg("tolerance"), py::arg("rounding"));
  using Result = KrylovResult;
  py::classh<Result>(m, "KrylovResult", "What a solve found: see `admrl_native.SolveResult`.")
      .def_property_readonly("solution", [](const Result& r) { return copied(r.solution); })
      .def_property_readonly("image", [](const Result& r) { return copied(r.image); })
      .def_property_readonly("history", [](const Result& r) { return copied(r.history); })
      .def_property_readonly("ritz_values", [](const Result& r) { return copied(r.ritz_values); })
      .def_property_readonly("reason", [](const Result& r) { return text(r.reason); })
      .def_property_readonly("method", [](const Result& r) { return name_of(r.method); })
      .def_readonly("residual", &Result::residual)
      .def_readonly("regularised_residual", &Result::regularised_residual)
      .def_readonly("iterations", &Result::iterations)
      .def_readonly("products", &Result::products)
      .def_readonly("why", &Result::why);
  m.def("solve_symmetric", &solve_symmetric_py, py::arg("hvp"), py::arg("b"), py::arg("settings"),
        R"(The solve behind `admrl_native.solve_symmetric`, on numpy float64 arrays alone.

Args:
    hvp: H x, (P,) float64, from x, (P,) float64; called with the GIL held, which the solver releases.
    b: (P,) float64, viewed.
    settings: KrylovSettings.

Returns:
    KrylovResult.

Raises:
    ValueError: bad settings or b.
    SolverError: hvp returns another shape or type, or a non-finite value, or is not symmetric.
    Whatever hvp raises, unchanged.)");
}

}  // namespace admrl

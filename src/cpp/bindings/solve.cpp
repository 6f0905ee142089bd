#include <pybind11/stl.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/solve/krylov.hpp"
#include "core/solve/lanczos.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

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

// H as a call of Python, with the GIL, which the solver has released. A signal that came meanwhile
// is handled there: its exception (KeyboardInterrupt) ends the solve, as one from the callback
// does. `hvp` has to outlive the result.
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

constexpr std::initializer_list<std::pair<const char*, KrylovMethod>> kMethods{
    {"cgnr", KrylovMethod::cgnr},
    {"minres", KrylovMethod::minres},
    {"cg", KrylovMethod::cg},
    {"dense", KrylovMethod::dense},
    {"auto", KrylovMethod::automatic}};

const char* name_of(KrylovMethod method) {
  return std::ranges::find(kMethods, method, &std::pair<const char*, KrylovMethod>::second)->first;
}

KrylovResult solve_symmetric_py(const py::function& hvp, const py::object& b,
                                const KrylovSettings& settings) {
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  const ReleasedGil released;
  return solve_symmetric(call_back(hvp), rhs, settings);
}

LanczosResult lanczos_py(const py::function& hvp, const py::object& b, const py::object& dampings,
                         int max_iterations, double tolerance) {
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  const auto path = read_span<double>(dampings, "dampings", {{"L"}});
  const ReleasedGil released;
  return lanczos(call_back(hvp), rhs, path, {max_iterations, tolerance});
}

}  // namespace

void bind_solve(py::module_& m) {
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
             return KrylovSettings{choice<KrylovMethod>("method", method, kMethods), damping,
                                   max_iterations, tolerance, rounding};
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
  using Solution = LanczosSolution;
  using Path = LanczosResult;
  py::classh<Solution>(m, "LanczosSolution", "What a Lanczos process found for one damping.")
      .def_property_readonly("x", [](const Solution& s) { return copied(s.x); })
      .def_property_readonly("reason", [](const Solution& s) { return text(s.reason); })
      .def_readonly("residual", &Solution::residual)
      .def_readonly("regularised_residual", &Solution::regularised_residual);
  py::classh<Path>(m, "LanczosResult", "What it found: see `admrl_native.LanczosResult`.")
      .def_readonly("solutions", &Path::solutions)
      .def_property_readonly("ritz_values", [](const Path& r) { return copied(r.ritz_values); })
      .def_readonly("iterations", &Path::iterations)
      .def_readonly("products", &Path::products);
  m.def("lanczos", &lanczos_py, py::arg("hvp"), py::arg("b"), py::arg("dampings"), py::kw_only(),
        py::arg("max_iterations"), py::arg("tolerance"),
        R"(The process behind `admrl_native.lanczos`, on numpy float64 arrays alone.

Args:
    hvp: H x, (P,) float64, from x, (P,) float64; called with the GIL held, which it releases.
    b: (P,) float64, viewed.
    dampings: the values of mu, (L,) float64, viewed.
    max_iterations: steps at most.
    tolerance: relative residual of the regularised system at which to stop.

Returns:
    LanczosResult; its solutions are those of the dampings, in their order.

Raises:
    ValueError: bad settings, dampings or b.
    SolverError: hvp returns another shape or type, or a non-finite value.
    Whatever hvp raises, unchanged.)");
}

}  // namespace admrl

#include "core/solve/lanczos.hpp"

#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/symmetric_operator.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

py::tuple lanczos_py(const py::function& hvp, const py::object& b, const py::object& dampings,
                     int max_iterations, double tolerance) {
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  const auto path = read_span<double>(dampings, "dampings", {{"L"}});
  LanczosResult result;
  {
    const ReleasedGil released;
    result = lanczos(call_back(hvp), rhs, path, {max_iterations, tolerance});
  }
  const auto points = static_cast<py::ssize_t>(path.size());
  NewArray<double> solutions({points, static_cast<py::ssize_t>(rhs.size())});
  NewArray<double> residuals({points}), regularised({points});
  py::tuple reasons(points);
  for (std::size_t l = 0; l < path.size(); ++l) {
    const LanczosSolution& solution = result.solutions[l];
    std::copy(solution.x.begin(), solution.x.end(), solutions.span.subspan(l * rhs.size()).begin());
    residuals.span[l] = solution.residual;
    regularised.span[l] = solution.regularised_residual;
    reasons[l] = text(solution.reason);
  }
  return py::make_tuple(solutions.array, residuals.array, regularised.array, result.iterations,
                        result.products, reasons, copied(result.ritz_values));
}

}  // namespace

void bind_lanczos(py::module_& m) {
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
    solutions (L, P), residuals (L,), regularised residuals (L,), all float64; iterations, products,
    reasons, Ritz values (iterations,) float64.

Raises:
    ValueError: bad settings, dampings or b.
    SolverError: hvp returns another shape or type, or a non-finite value.
    Whatever hvp raises, unchanged.)");
}

}  // namespace admrl

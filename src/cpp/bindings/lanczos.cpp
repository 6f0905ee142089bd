#include "core/solve/lanczos.hpp"

#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/symmetric_operator.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

LanczosResult lanczos_py(const py::function& hvp, const py::object& b, const py::object& dampings,
                         int max_iterations, double tolerance) {
  const auto rhs = read_span<double>(b, "b", {{"P"}});
  const auto path = read_span<double>(dampings, "dampings", {{"L"}});
  const ReleasedGil released;
  return lanczos(call_back(hvp), rhs, path, {max_iterations, tolerance});
}

}  // namespace

void bind_lanczos(py::module_& m) {
  using Solution = LanczosSolution;
  using Result = LanczosResult;
  py::classh<Solution>(m, "LanczosSolution", "What a Lanczos process found for one damping.")
      .def_property_readonly("x", [](const Solution& s) { return copied(s.x); })
      .def_property_readonly("reason", [](const Solution& s) { return text(s.reason); })
      .def_readonly("residual", &Solution::residual)
      .def_readonly("regularised_residual", &Solution::regularised_residual);
  py::classh<Result>(m, "LanczosResult", "What it found: see `admrl_native.LanczosResult`.")
      .def_readonly("solutions", &Result::solutions)
      .def_property_readonly("ritz_values", [](const Result& r) { return copied(r.ritz_values); })
      .def_readonly("iterations", &Result::iterations)
      .def_readonly("products", &Result::products);
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

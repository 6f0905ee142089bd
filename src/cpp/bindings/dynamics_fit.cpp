#include "core/update/dynamics_fit.hpp"

#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"
#include "bindings/simulation.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

double fit_dynamics_py(ThreadPool& pool, const py::sequence& layers, const py::sequence& first,
                       const py::sequence& second, std::int64_t steps_done, const py::object& rows,
                       const py::object& order, const py::object& obs_mean,
                       const py::object& obs_std, const py::object& difference_mean,
                       const py::object& difference_std, const DynamicsFitSettings& settings) {
  const Layers parameters("layers", layers), means("first", first), squares("second", second);
  const auto views = parameters.train(means, squares);
  const py::ssize_t obs_dim = views.empty() ? kAnySize : views.back().out;
  const py::ssize_t row = views.empty() ? kAnySize : views.front().in + obs_dim;
  const auto count = sizes_of<float>(rows, "rows", {{"R"}, {"2D+A", row}})[0];
  const auto sizes = sizes_of<std::int64_t>(order, "order", {{"steps"}, {"batch"}});
  const DynamicsData data{
      read_span<float>(rows, "rows", {{"R", count}, {"2D+A", row}}),
      read_span<std::int64_t>(order, "order", {{"steps", sizes[0]}, {"batch", sizes[1]}}),
      read_span<float>(obs_mean, "obs_mean", {{"D", obs_dim}}),
      read_span<float>(obs_std, "obs_std", {{"D", obs_dim}}),
      read_span<float>(difference_mean, "difference_mean", {{"D", obs_dim}}),
      read_span<float>(difference_std, "difference_std", {{"D", obs_dim}})};
  const ReleasedGil released;
  return fit_dynamics(pool, views, steps_done, data, static_cast<int>(sizes[1]), settings,
                      poll_signals());
}

}  // namespace

void bind_dynamics_fit(py::module_& m) {
  py::classh<DynamicsFitSettings>(m, "DynamicsFitSettings",
                                  R"(How `fit_dynamics` goes; the numbers are checked by it.

Args:
    adam: AdamSettings.
    weight_decay: this multiple of every parameter is added to its gradient.
    max_grad_norm: a gradient of a larger norm is scaled down to it.
    precision: "fp32", or "bf16" for products of weights, activations and derivatives rounded to
        bfloat16, in all layers but the first; sums, parameters and moments stay float32.

Raises:
    ValueError: an unknown precision.)")
      .def(py::init([](const AdamSettings& adam, double weight_decay, double max_grad_norm,
                       const std::string& precision) {
             return DynamicsFitSettings{adam, weight_decay, max_grad_norm,
                                        precision_named(precision)};
           }),
           py::kw_only(), py::arg("adam"), py::arg("weight_decay"), py::arg("max_grad_norm"),
           py::arg("precision") = "fp32");
  m.def("fit_dynamics", &fit_dynamics_py, py::arg("pool"), py::arg("layers"), py::arg("first"),
        py::arg("second"), py::arg("steps_done"), py::arg("rows"), py::arg("order"),
        py::arg("obs_mean"), py::arg("obs_std"), py::arg("difference_mean"),
        py::arg("difference_std"), py::arg("settings"),
        R"(Fits the dynamics model by Adam on minibatches of the replay, many steps in one call.

A ReLU network predicts ((s' - s) - difference_mean) / difference_std, shape (D,), from
[(s - obs_mean) / obs_std, clip(a, -1, 1)], shape (D + A,). A step minimises the mean over its batch
of the root mean square error + 1/2 weight_decay |parameters|^2, its gradient clipped.

Args:
    pool: the threads that share the work.
    layers: [(weight (out, in), bias (out,)), ...] float32, written.
    first: Adam's means of the gradient (torch: exp_avg), shaped as layers, written.
    second: Adam's means of its square (torch: exp_avg_sq), shaped as layers, written.
    steps_done: Adam steps behind the moments; this call adds the steps of `order`.
    rows: the replay, one transition [s, a, s'] a row, (R, 2D + A) float32, viewed.
    order: the rows of every step, (steps, batch) int64, viewed.
    obs_mean: (D,) float32, viewed.
    obs_std: (D,) float32, positive, viewed.
    difference_mean: mean of s' - s, (D,) float32, viewed.
    difference_std: its standard deviation, (D,) float32, positive, viewed.
    settings: DynamicsFitSettings.

Returns:
    mean loss of the steps, without the weight decay, each taken before its update.

Raises:
    ValueError: arrays or settings that are not as above, or "bf16" on a CPU without it; nothing
        is written.
    KeyboardInterrupt: between two steps; the steps done are in the arrays.

Determinism: the bits depend on the arguments and on build_info()["kernels"], not on the threads.)");
}

}  // namespace admrl

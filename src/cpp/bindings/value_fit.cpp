#include "core/value_fit.hpp"

#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/simulation.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

struct Pair {
  std::span<float> weight;
  std::span<float> bias;
};

// Writeable views of (weight (out, in), bias (out)).
Pair pair_views(const py::handle item, const std::string& name, py::ssize_t out, py::ssize_t in) {
  const auto pair = py::cast<py::sequence>(item);
  if (pair.size() != 2) throw InvalidInput(name + ": expected (weight, bias)");
  const py::object weight = pair[0], bias = pair[1];
  return {write_span<float>(weight, (name + " weight").c_str(), {{"out", out}, {"in", in}}),
          write_span<float>(bias, (name + " bias").c_str(), {{"out", out}})};
}

std::vector<TrainedLayer> trained_layers(const py::sequence& layers, const py::sequence& first,
                                         const py::sequence& second) {
  if (first.size() != layers.size() || second.size() != layers.size()) {
    throw InvalidInput("first, second: expected one pair of moments for each of the " +
                       std::to_string(layers.size()) + " layers, got " +
                       std::to_string(first.size()) + " and " + std::to_string(second.size()));
  }
  std::vector<TrainedLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string index = "[" + std::to_string(i) + "]";
    const auto pair = py::cast<py::sequence>(layers[i]);
    if (pair.size() != 2) throw InvalidInput("layers" + index + ": expected (weight, bias)");
    const py::object weight = pair[0];
    const auto size =
        sizes_of<float>(weight, ("layers" + index + " weight").c_str(), {{"out"}, {"in"}});
    const Pair p = pair_views(layers[i], "layers" + index, size[0], size[1]);
    const Pair m = pair_views(first[i], "first" + index, size[0], size[1]);
    const Pair v = pair_views(second[i], "second" + index, size[0], size[1]);
    views.push_back({p.weight.data(), p.bias.data(), m.weight.data(), m.bias.data(),
                     v.weight.data(), v.bias.data(), static_cast<int>(size[1]),
                     static_cast<int>(size[0])});
  }
  return views;
}

py::array_t<double> fit_value_py(const py::sequence& layers, const py::sequence& first,
                                 const py::sequence& second, std::int64_t steps_done,
                                 const py::object& x, const py::object& targets,
                                 const py::object& order, int minibatch, double learning_rate,
                                 double beta1, double beta2, double eps) {
  const auto views = trained_layers(layers, first, second);
  const auto rows = sizes_of<float>(x, "x", {{"M"}, {"in"}})[0];
  const py::ssize_t in = views.empty() ? kAnySize : views.front().in;
  const auto epochs = sizes_of<std::int64_t>(order, "order", {{"E"}, {"M", rows}})[0];
  const ValueData data{read_span<float>(x, "x", {{"M", rows}, {"in", in}}),
                       read_span<float>(targets, "targets", {{"M", rows}}),
                       read_span<std::int64_t>(order, "order", {{"E", epochs}, {"M", rows}})};
  std::vector<double> losses;
  {
    const py::gil_scoped_release release;
    losses = fit_value(views, steps_done, data, minibatch, {learning_rate, beta1, beta2, eps},
                       poll_signals());
  }
  NewArray<double> out({epochs});
  std::copy(losses.begin(), losses.end(), out.span.begin());
  return out.array;
}

}  // namespace

void bind_value_fit(py::module_& m) {
  m.def("fit_value", &fit_value_py, py::arg("layers"), py::arg("first"), py::arg("second"),
        py::arg("steps_done"), py::arg("x"), py::arg("targets"), py::arg("order"), py::kw_only(),
        py::arg("minibatch"), py::arg("learning_rate"), py::arg("beta1") = 0.9,
        py::arg("beta2") = 0.999, py::arg("eps") = 1e-8,
        R"(Fits a tanh network with one output by Adam on minibatches, the whole fit in one call.

Minimises the mean of (V(x) - target)^2 / 2. The last minibatch of an epoch may be smaller.

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32, written.
    first: Adam's means of the gradient (torch: exp_avg), shaped as layers, written.
    second: Adam's means of its square (torch: exp_avg_sq), shaped as layers, written.
    steps_done: Adam steps behind the moments; this call adds E * ceil(M / minibatch).
    x: (M, in) float32, viewed.
    targets: (M,) float32, viewed.
    order: the samples of every epoch, in turn, (E, M) int64, viewed.
    minibatch: samples per step.
    learning_rate: Adam's step size.
    beta1: decay of `first`.
    beta2: decay of `second`.
    eps: added to the root of `second`.

Returns:
    mean loss of every epoch, (E,) float64, each sample's taken before its own step.

Raises:
    ValueError: arrays or settings that are not as above; nothing is written.
    KeyboardInterrupt: between two epochs; the epochs done are in the arrays.

Determinism: one thread; the bits depend on the arguments and on build_info()["kernels"] alone.)");
}

}  // namespace admrl

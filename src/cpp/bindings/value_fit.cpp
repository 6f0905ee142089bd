#include "core/update/value_fit.hpp"

#include <memory>
#include <stdexcept>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/layers.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// What a fit looks at.
struct Arrays {
  Layers layers, first, second;
  py::object x, targets, order;
};

std::unique_ptr<ValueFit> make_fit(const py::sequence& layers, const py::sequence& first,
                                   const py::sequence& second, std::int64_t steps_done,
                                   const py::object& x, const py::object& targets,
                                   const py::object& order, int minibatch,
                                   const AdamSettings& adam) {
  const auto kept = std::make_shared<const Arrays>(
      Arrays{{"layers", layers}, {"first", first}, {"second", second}, x, targets, order});
  const auto trained = kept->layers.train(kept->first, kept->second);
  const py::ssize_t in = trained.empty() ? kAnySize : trained.front().in;
  const auto rows = sizes_of<float>(x, "x", {{"M"}, {"in"}})[0];
  const ValueData data{read_span<float>(x, "x", {{"M", rows}, {"in", in}}),
                       read_span<float>(targets, "targets", {{"M", rows}}),
                       read_span<std::int64_t>(order, "order", {{"E"}, {"M", rows}})};
  auto fit = std::make_unique<ValueFit>(trained, steps_done, data, minibatch, adam);
  fit->keep(kept);
  return fit;
}

py::array_t<double> losses(const ValueFit& fit) {
  const Job::Claim claim(fit);
  require<std::runtime_error>(!fit.losses().empty(), "losses: the fit has not run");
  return copied(fit.losses());
}

}  // namespace

void bind_value_fit(py::module_& m) {
  py::classh<AdamSettings>(m, "AdamSettings", R"(The constants of Adam; checked by who takes them.

Args:
    learning_rate: the step size.
    beta1: decay of the mean of the gradient.
    beta2: decay of the mean of its square.
    eps: added to the root of that mean.)")
      .def(py::init([](double learning_rate, double beta1, double beta2, double eps) {
             return AdamSettings{learning_rate, beta1, beta2, eps};
           }),
           py::kw_only(), py::arg("learning_rate"), py::arg("beta1") = 0.9,
           py::arg("beta2") = 0.999, py::arg("eps") = 1e-8);
  py::classh<ValueFit, Job>(m, "ValueFit",
                            R"(Fits a tanh network with one output by Adam on minibatches: a job.

Minimises the mean of (V(x) - target)^2 / 2. The last minibatch of an epoch may be smaller.

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32, written when it runs.
    first: Adam's means of the gradient (torch: exp_avg), shaped as layers, written.
    second: Adam's means of its square (torch: exp_avg_sq), shaped as layers, written.
    steps_done: Adam steps behind the moments; the run adds E * ceil(M / minibatch).
    x: (M, in) float32, viewed.
    targets: (M,) float32, viewed.
    order: the samples of every epoch, in turn, (E, M) int64, viewed.
    minibatch: samples per step.
    adam: AdamSettings.

Raises:
    ValueError: arrays or settings that are not as above.

Determinism: one thread; the bits depend on the arguments and on build_info()["kernels"] alone.)")
      .def(py::init(&make_fit), py::arg("layers"), py::arg("first"), py::arg("second"),
           py::arg("steps_done"), py::arg("x"), py::arg("targets"), py::arg("order"), py::kw_only(),
           py::arg("minibatch"), py::arg("adam"))
      .def_property_readonly("steps", &ValueFit::steps, "Adam steps that the run takes.")
      .def_property_readonly("losses", &losses,
                             R"(Mean loss of every epoch (E,) float64.

Each sample's loss is taken before its own step.

Raises:
    RuntimeError: it has not run.)");
}

}  // namespace admrl

#include "core/update/value_fit.hpp"

#include <stdexcept>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/layers.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// The job and the arrays it borrows from.
class BoundValueFit : public Job {
 public:
  BoundValueFit(const py::sequence& layers, const py::sequence& first, const py::sequence& second,
                std::int64_t steps_done, const py::object& x, const py::object& targets,
                const py::object& order, int minibatch, double learning_rate, double beta1,
                double beta2, double eps)
      : layers_("layers", layers),
        first_("first", first),
        second_("second", second),
        arrays_(py::make_tuple(x, targets, order)),
        fit_(layers_.train(first_, second_), steps_done, value_data(layers_, x, targets, order),
             minibatch, {learning_rate, beta1, beta2, eps}) {}

  void run(ThreadPool& pool) override { fit_.run(pool); }
  std::int64_t steps() const { return fit_.steps(); }
  py::array_t<double> losses() const {
    const Claim claim(*this);
    if (fit_.losses().empty()) throw std::runtime_error("losses: the fit has not run");
    return copied(fit_.losses());
  }

 private:
  static ValueData value_data(const Layers& layers, const py::object& x, const py::object& targets,
                              const py::object& order) {
    const auto rows = sizes_of<float>(x, "x", {{"M"}, {"in"}})[0];
    const auto views = layers.read();
    const py::ssize_t in = views.empty() ? kAnySize : views.front().in;
    const auto epochs = sizes_of<std::int64_t>(order, "order", {{"E"}, {"M", rows}})[0];
    return {read_span<float>(x, "x", {{"M", rows}, {"in", in}}),
            read_span<float>(targets, "targets", {{"M", rows}}),
            read_span<std::int64_t>(order, "order", {{"E", epochs}, {"M", rows}})};
  }

  Layers layers_, first_, second_;
  py::tuple arrays_;
  ValueFit fit_;
};

}  // namespace

void bind_value_fit(py::module_& m) {
  py::classh<BoundValueFit, Job>(
      m, "ValueFit",
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
    learning_rate: Adam's step size.
    beta1: decay of `first`.
    beta2: decay of `second`.
    eps: added to the root of `second`.

Raises:
    ValueError: arrays or settings that are not as above.

Determinism: one thread; the bits depend on the arguments and on build_info()["kernels"] alone.)")
      .def(py::init<const py::sequence&, const py::sequence&, const py::sequence&, std::int64_t,
                    const py::object&, const py::object&, const py::object&, int, double, double,
                    double, double>(),
           py::arg("layers"), py::arg("first"), py::arg("second"), py::arg("steps_done"),
           py::arg("x"), py::arg("targets"), py::arg("order"), py::kw_only(), py::arg("minibatch"),
           py::arg("learning_rate"), py::arg("beta1") = 0.9, py::arg("beta2") = 0.999,
           py::arg("eps") = 1e-8)
      .def_property_readonly("steps", &BoundValueFit::steps, "Adam steps that the run takes.")
      .def_property_readonly("losses", &BoundValueFit::losses,
                             R"(Mean loss of every epoch (E,) float64.

Each sample's loss is taken before its own step.

Raises:
    RuntimeError: it has not run.)");
}

}  // namespace admrl

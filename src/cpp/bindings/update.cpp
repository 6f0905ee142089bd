#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"
#include "core/update/dynamics_fit.hpp"
#include "core/update/trpo.hpp"
#include "core/update/value_fit.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// What a fit looks at.
struct FitArrays {
  Layers layers, first, second;
  py::object x, targets, order;
};

std::unique_ptr<ValueFit> make_fit(const py::sequence& layers, const py::sequence& first,
                                   const py::sequence& second, std::int64_t steps_done,
                                   const py::object& x, const py::object& targets,
                                   const py::object& order, int minibatch,
                                   const AdamSettings& adam) {
  const auto kept = std::make_shared<const FitArrays>(
      FitArrays{{"layers", layers}, {"first", first}, {"second", second}, x, targets, order});
  const auto trained = kept->layers.train(kept->first, kept->second);
  const py::ssize_t in = trained.empty() ? kAnySize : trained.front().in;
  const auto rows = read_span<float>(x, "x", {{"M"}, {"in"}}).shape[0];
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

double fit_dynamics_py(ThreadPool& pool, const py::sequence& layers, const py::sequence& first,
                       const py::sequence& second, std::int64_t steps_done, const py::object& rows,
                       const py::object& order, const py::object& obs_mean,
                       const py::object& obs_std, const py::object& difference_mean,
                       const py::object& difference_std, const DynamicsFitSettings& settings) {
  const Layers parameters("layers", layers), means("first", first), squares("second", second);
  const auto views = parameters.train(means, squares);
  const py::ssize_t obs_dim = views.empty() ? kAnySize : views.back().out;
  const py::ssize_t row = views.empty() ? kAnySize : views.front().in + obs_dim;
  const auto steps = read_span<std::int64_t>(order, "order", {{"steps"}, {"batch"}});
  const DynamicsData data{read_span<float>(rows, "rows", {{"R"}, {"2D+A", row}}),
                          steps,
                          read_span<float>(obs_mean, "obs_mean", {{"D", obs_dim}}),
                          read_span<float>(obs_std, "obs_std", {{"D", obs_dim}}),
                          read_span<float>(difference_mean, "difference_mean", {{"D", obs_dim}}),
                          read_span<float>(difference_std, "difference_std", {{"D", obs_dim}})};
  const ReleasedGil released;
  return fit_dynamics(pool, views, steps_done, data, static_cast<int>(steps.shape[1]), settings,
                      poll_signals());
}

// What an update looks at.
struct UpdateArrays {
  Layers layers;
  py::object log_std, obs_mean, obs_std, obs, actions, advantages;
};

std::unique_ptr<TrpoUpdate> make_update(const py::sequence& layers, const py::object& log_std,
                                        const py::object& obs_mean, const py::object& obs_std,
                                        const py::object& obs, const py::object& actions,
                                        const py::object& advantages,
                                        const TrpoSettings& settings) {
  const auto kept = std::make_shared<const UpdateArrays>(
      UpdateArrays{{"layers", layers}, log_std, obs_mean, obs_std, obs, actions, advantages});
  const auto views = kept->layers.write();
  const auto sizes = sizes_of_chain(views);
  const py::ssize_t obs_dim = sizes.front(), act_dim = sizes.back();
  const auto seen = read_span<float>(obs, "obs", {{"M"}, {"D", obs_dim}});
  const py::ssize_t rows = seen.shape[0];
  const PolicySamples samples{seen,
                              read_span<float>(actions, "actions", {{"M", rows}, {"A", act_dim}}),
                              read_span<float>(advantages, "advantages", {{"M", rows}}),
                              read_span<float>(obs_mean, "obs_mean", {{"D", obs_dim}}),
                              read_span<float>(obs_std, "obs_std", {{"D", obs_dim}})};
  auto update = std::make_unique<TrpoUpdate>(
      views, view<float>(log_std, "log_std", {{"A", act_dim}}), samples, settings);
  update->keep(kept);
  return update;
}

TrpoResult result(const TrpoUpdate& update) {
  const Job::Claim claim(update);
  require<std::runtime_error>(
      update.result().has_value(),
      "TrpoUpdate.result: expected an update that has run: ThreadPool.run([update])");
  return *update.result();
}

// What `call` makes of a pool of one thread.
template <class Call>
py::array_t<double> alone(const TrpoUpdate& update, Call call) {
  std::vector<double> values;
  {
    const ReleasedGil released;
    const Job::Claim claim(update);
    ThreadPool pool(1);
    values = call(pool);
  }
  return copied(values);
}

}  // namespace

void bind_update(py::module_& m) {
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
  py::classh<TrpoSettings>(m, "TrpoSettings", R"(How a TrpoUpdate goes; checked when one is made.

Args:
    max_kl: trust region, the largest mean KL divergence, nats.
    cg_iterations: conjugate gradient iterations at most.
    fisher_damping: multiple of the identity added to the Fisher matrix.
    line_search_steps: step lengths tried.
    line_search_decay: factor between them.
    kl_tolerance: a step is accepted up to this multiple of max_kl.
    entropy_coefficient: c, the weight of the entropy.)")
      .def(py::init([](double max_kl, int cg_iterations, double fisher_damping,
                       int line_search_steps, double line_search_decay, double kl_tolerance,
                       double entropy_coefficient) {
             return TrpoSettings{max_kl,
                                 cg_iterations,
                                 fisher_damping,
                                 line_search_steps,
                                 line_search_decay,
                                 kl_tolerance,
                                 entropy_coefficient};
           }),
           py::kw_only(), py::arg("max_kl"), py::arg("cg_iterations"), py::arg("fisher_damping"),
           py::arg("line_search_steps"), py::arg("line_search_decay"), py::arg("kl_tolerance"),
           py::arg("entropy_coefficient"));
  py::classh<TrpoResult>(m, "TrpoResult", R"(What an update did.

kl: mean KL(pi_old || pi_new), nats. improvement: of the surrogate. entropy: of the new policy, nats.
line_search_steps: halvings made; -1: no step was accepted and the parameters are unchanged.)")
      .def_readonly("kl", &TrpoResult::kl)
      .def_readonly("improvement", &TrpoResult::improvement)
      .def_readonly("entropy", &TrpoResult::entropy)
      .def_readonly("line_search_steps", &TrpoResult::line_search_steps);
  py::classh<TrpoUpdate, Job>(m, "TrpoUpdate", R"(One TRPO update of a Gaussian policy.

maximise  E[pi(a|s) / pi_old(a|s) A] + c entropy(pi)   subject to   E[KL(pi_old || pi)] <= max_kl

As `training.trpo.trpo_update`, in one native call: ThreadPool.run([update]) makes the update. An
update looks at its arrays again whenever it runs, on one pool at a time.

Args:
    layers: of the mean, [(weight (out, in), bias (out,)), ...] float32, tanh between; written.
    log_std: (A,) float32, written.
    obs_mean: (D,) float32; the network reads (obs - obs_mean) / obs_std.
    obs_std: (D,) float32, positive.
    obs: (M, D) float32, M >= 2.
    actions: (M, A) float32, unclipped.
    advantages: (M,) float32; their mean and standard deviation are taken out at construction.
    settings: TrpoSettings.

Raises:
    ValueError: arrays or settings that are not as above, here; a gradient that is not finite, in
        ThreadPool.run, which then writes nothing.
    SolverError: a Fisher product that is not finite, likewise.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.

Determinism: the bits depend on the arguments and on build_info()["kernels"] alone, not on the
threads nor on what runs beside it.

Cost: 8 M (D + H + A) bytes and some padding, for H hidden units in all; about 3 (conjugate gradient
iterations + 2) forward passes of the network.)")
      .def(py::init(&make_update), py::arg("layers"), py::arg("log_std"), py::arg("obs_mean"),
           py::arg("obs_std"), py::arg("obs"), py::arg("actions"), py::arg("advantages"),
           py::arg("settings"))
      .def_property_readonly("result", &result, R"(TrpoResult of the last run.

Raises:
    RuntimeError: it has not run.)")
      .def(
          "gradient",
          [](TrpoUpdate& update) {
            return alone(update, [&](ThreadPool& pool) { return update.gradient(pool); });
          },
          R"(The gradient of the objective at the parameters as they are now, (P,) float64.

P: weight and bias of every layer, from first to last, then log_std. One thread. For tests.)")
      .def(
          "fisher_product",
          [](TrpoUpdate& update, const py::object& v) {
            const auto size = static_cast<py::ssize_t>(update.num_params());
            const auto direction = read_span<double>(v, "v", {{"P", size}});
            return alone(update,
                         [&](ThreadPool& pool) { return update.fisher_product(pool, direction); });
          },
          py::arg("v"),
          R"(F v (P,) float64 of v (P,) float64, at the parameters as they are now; not damped.

F: the Hessian of the mean KL divergence. v is rounded to float32. One thread. For tests.)");
}

}  // namespace admrl

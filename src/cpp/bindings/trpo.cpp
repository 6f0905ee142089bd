#include "core/update/trpo.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// What an update looks at.
struct Arrays {
  Layers layers;
  py::object log_std, obs_mean, obs_std, obs, actions, advantages;
};

std::unique_ptr<TrpoUpdate> make_update(const py::sequence& layers, const py::object& log_std,
                                        const py::object& obs_mean, const py::object& obs_std,
                                        const py::object& obs, const py::object& actions,
                                        const py::object& advantages,
                                        const TrpoSettings& settings) {
  const auto kept = std::make_shared<const Arrays>(
      Arrays{{"layers", layers}, log_std, obs_mean, obs_std, obs, actions, advantages});
  const auto views = kept->layers.write();
  const auto sizes = sizes_of_chain(views);
  const py::ssize_t obs_dim = sizes.front(), act_dim = sizes.back();
  const py::ssize_t rows = sizes_of<float>(obs, "obs", {{"M"}, {"D", obs_dim}})[0];
  const PolicySamples samples{read_span<float>(obs, "obs", {{"M", rows}, {"D", obs_dim}}),
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

void bind_trpo(py::module_& m) {
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

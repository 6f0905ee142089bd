#include "core/update/trpo.hpp"

#include <cstddef>
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

// An update and the arrays that it looks at.
class TrpoUpdateJob : public Job {
 public:
  TrpoUpdateJob(const py::sequence& layers, py::object log_std, py::object obs_mean,
                py::object obs_std, py::object obs, py::object actions, py::object advantages,
                const TrpoSettings& settings)
      : layers_("layers", layers) {
    const auto views = layers_.write();
    const auto sizes = sizes_of_chain(views);
    const py::ssize_t obs_dim = sizes.front(), act_dim = sizes.back();
    const py::ssize_t rows = sizes_of<float>(obs, "obs", {{"M"}, {"D", obs_dim}})[0];
    const PolicySamples samples{read_span<float>(obs, "obs", {{"M", rows}, {"D", obs_dim}}),
                                read_span<float>(actions, "actions", {{"M", rows}, {"A", act_dim}}),
                                read_span<float>(advantages, "advantages", {{"M", rows}}),
                                read_span<float>(obs_mean, "obs_mean", {{"D", obs_dim}}),
                                read_span<float>(obs_std, "obs_std", {{"D", obs_dim}})};
    update_ = std::make_unique<TrpoUpdate>(views, view<float>(log_std, "log_std", {{"A", act_dim}}),
                                           samples, settings);
    arrays_ = {std::move(log_std), std::move(obs_mean), std::move(obs_std),
               std::move(obs),     std::move(actions),  std::move(advantages)};
  }

  void run(ThreadPool& pool) override { update_->run(pool); }

  py::tuple result() const {
    const Claim claim(*this);
    const auto& result = update_->result();
    if (!result) {
      throw std::runtime_error(
          "TrpoUpdate.result: expected an update that has run: "
          "ThreadPool.run([update])");
    }
    return py::make_tuple(result->kl, result->improvement, result->entropy,
                          result->line_search_steps);
  }

  py::array_t<double> gradient() const {
    std::vector<double> gradient;
    {
      const ReleasedGil released;
      const Claim claim(*this);
      ThreadPool alone(1);
      gradient = update_->gradient(alone);
    }
    return copied(gradient);
  }

  py::array_t<double> fisher_product(const py::object& v) const {
    const auto view =
        read_span<double>(v, "v", {{"P", static_cast<py::ssize_t>(update_->num_params())}});
    std::vector<double> product;
    {
      const ReleasedGil released;
      const Claim claim(*this);
      ThreadPool alone(1);
      product = update_->fisher_product(alone, view);
    }
    return copied(product);
  }

 private:
  Layers layers_;
  std::vector<py::object> arrays_;
  std::unique_ptr<TrpoUpdate> update_;
};

}  // namespace

void bind_trpo(py::module_& m) {
  py::classh<TrpoUpdateJob, Job>(m, "TrpoUpdate", R"(One TRPO update of a Gaussian policy.

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
    max_kl: trust region, the largest mean KL divergence, nats.
    cg_iterations: conjugate gradient iterations at most.
    fisher_damping: multiple of the identity added to the Fisher matrix.
    line_search_steps: step lengths tried.
    line_search_decay: factor between them.
    kl_tolerance: a step is accepted up to this multiple of max_kl.
    entropy_coefficient: c.

Raises:
    ValueError: arrays or settings that are not as above, here; a gradient that is not finite, in
        ThreadPool.run, which then writes nothing.
    SolverError: a Fisher product that is not finite, likewise.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.

Determinism: the bits depend on the arguments and on build_info()["kernels"] alone, not on the
threads nor on what runs beside it.

Cost: 8 M (D + H + A) bytes and some padding, for H hidden units in all; about 3 (conjugate gradient
iterations + 2) forward passes of the network.)")
      .def(py::init([](const py::sequence& layers, const py::object& log_std,
                       const py::object& obs_mean, const py::object& obs_std, const py::object& obs,
                       const py::object& actions, const py::object& advantages, double max_kl,
                       int cg_iterations, double fisher_damping, int line_search_steps,
                       double line_search_decay, double kl_tolerance, double entropy_coefficient) {
             return std::make_unique<TrpoUpdateJob>(
                 layers, log_std, obs_mean, obs_std, obs, actions, advantages,
                 TrpoSettings{max_kl, cg_iterations, fisher_damping, line_search_steps,
                              line_search_decay, kl_tolerance, entropy_coefficient});
           }),
           py::arg("layers"), py::arg("log_std"), py::arg("obs_mean"), py::arg("obs_std"),
           py::arg("obs"), py::arg("actions"), py::arg("advantages"), py::kw_only(),
           py::arg("max_kl"), py::arg("cg_iterations"), py::arg("fisher_damping"),
           py::arg("line_search_steps"), py::arg("line_search_decay"), py::arg("kl_tolerance"),
           py::arg("entropy_coefficient"))
      .def_property_readonly("result", &TrpoUpdateJob::result,
                             R"((kl, improvement, entropy, line_search_steps) of the last run.

kl: mean KL(pi_old || pi_new), nats. improvement: of the surrogate. entropy: of the new policy, nats.
line_search_steps: halvings made; -1: no step was accepted and the parameters are unchanged.

Raises:
    RuntimeError: it has not run.)")
      .def("gradient", &TrpoUpdateJob::gradient,
           R"(The gradient of the objective at the parameters as they are now, (P,) float64.

P: weight and bias of every layer, from first to last, then log_std. One thread. For tests.)")
      .def("fisher_product", &TrpoUpdateJob::fisher_product, py::arg("v"),
           R"(F v (P,) float64 of v (P,) float64, at the parameters as they are now; not damped.

F: the Hessian of the mean KL divergence. v is rounded to float32. One thread. For tests.)");
}

}  // namespace admrl

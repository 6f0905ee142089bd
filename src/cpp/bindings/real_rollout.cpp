#include "core/real_rollout.hpp"

#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/simulation.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// Keeps references to the arrays, which are read at the start of every rollout: weights that are
// changed in place need no new object.
class PolicyArrays {
 public:
  PolicyArrays(std::vector<std::pair<py::object, py::object>> layers, py::object log_std,
               py::object obs_mean, py::object obs_std)
      : layers_(std::move(layers)),
        log_std_(std::move(log_std)),
        obs_mean_(std::move(obs_mean)),
        obs_std_(std::move(obs_std)) {
    (void)pack();  // reports what is wrong now rather than at the first rollout
  }

  GaussianPolicy pack() const {
    std::vector<MlpLayer> layers;
    for (const auto& [weight, bias] : layers_) {
      const auto sizes = sizes_of<float>(weight, "policy: weight", {{"out"}, {"in"}});
      const auto w =
          read_span<float>(weight, "policy: weight", {{"out", sizes[0]}, {"in", sizes[1]}});
      const auto b = read_span<float>(bias, "policy: bias", {{"out", sizes[0]}});
      layers.push_back(
          {w.data(), b.data(), static_cast<int>(sizes[1]), static_cast<int>(sizes[0])});
    }
    return GaussianPolicy(layers, read_span<float>(log_std_, "policy: log_std", {{"A"}}),
                          read_span<float>(obs_mean_, "policy: obs_mean", {{"D"}}),
                          read_span<float>(obs_std_, "policy: obs_std", {{"D"}}));
  }

 private:
  std::vector<std::pair<py::object, py::object>> layers_;
  py::object log_std_;
  py::object obs_mean_;
  py::object obs_std_;
};

py::dict rollout(Simulation& s, const PolicyArrays& arrays, int num_steps, const py::int_& seed,
                 const py::object& psi, double ou_theta, double ou_sigma, bool deterministic) {
  if (num_steps < 1) {
    throw InvalidInput("num_steps: expected at least 1, got " + std::to_string(num_steps));
  }
  const GaussianPolicy policy = arrays.pack();
  const RolloutRequest request{
      num_steps, read_seed(seed), read_psi(psi, {"N", s.num_envs()}, s.spec().task_dim()),
      ou_theta,  ou_sigma,        deterministic};
  const std::vector<py::ssize_t> leading{s.num_envs(), num_steps};
  NewArray<float> obs({s.num_envs(), num_steps, s.spec().obs_dim()});
  NewArray<float> actions({s.num_envs(), num_steps, s.spec().act_dim()});
  NewArray<float> log_probs(leading);
  StepOutput steps(leading, s.spec());
  {
    const py::gil_scoped_release released;
    real_rollout(s, policy, request,
                 {obs.span.data(), actions.span.data(), log_probs.span.data(), steps.arrays()},
                 poll_signals());
  }
  py::dict d = steps.dict();
  d["obs"] = obs.array;
  d["actions"] = actions.array;
  d["log_probs"] = log_probs.array;
  return d;
}

}  // namespace

void bind_real_rollout(py::module_& m) {
  py::class_<PolicyArrays>(m, "GaussianPolicy",
                           "A Gaussian tanh-MLP policy over arrays that it refers to, not copies.")
      .def(py::init<std::vector<std::pair<py::object, py::object>>, py::object, py::object,
                    py::object>(),
           py::arg("layers"), py::arg("log_std"), py::arg("obs_mean"), py::arg("obs_std"));
}

void bind_rollout_method(SimulationClass& simulation) {
  simulation.def("rollout", &rollout, py::kw_only(), py::arg("policy"), py::arg("num_steps"),
                 py::arg("seed"), py::arg("psi"), py::arg("ou_theta") = 0.0,
                 py::arg("ou_sigma") = 0.0, py::arg("deterministic") = false);
}

}  // namespace admrl

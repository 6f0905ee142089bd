#include "core/real_rollout.hpp"

#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/policy.hpp"
#include "bindings/simulation.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

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

void bind_rollout_method(SimulationClass& simulation) {
  simulation.def("rollout", &rollout, py::kw_only(), py::arg("policy"), py::arg("num_steps"),
                 py::arg("seed"), py::arg("psi"), py::arg("ou_theta") = 0.0,
                 py::arg("ou_sigma") = 0.0, py::arg("deterministic") = false);
}

}  // namespace admrl

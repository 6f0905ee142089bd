#include "core/rollout/real_rollout.hpp"

#include <cstdint>
#include <span>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/gil.hpp"
#include "bindings/policy.hpp"
#include "bindings/simulation.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// Reads `contexts` into the request; None: no context.
void read_contexts(const py::object& contexts, const Dim& rows, RolloutRequest& request) {
  if (contexts.is_none()) return;
  const py::ssize_t dim = sizes_of<float>(contexts, "contexts", {rows, {"C"}})[1];
  request.contexts = read_span<float>(contexts, "contexts", {rows, {"C", dim}});
  request.context_dim = static_cast<int>(dim);
}

py::dict rollout(Simulation& s, const py::sequence& policies, int num_steps, const py::int_& seed,
                 const py::object& psi, const py::object& policy_of_env, const py::object& contexts,
                 double ou_theta, double ou_sigma, bool deterministic) {
  require_at_least_one("num_steps", num_steps);
  const auto packed = pack_policies(policies);
  const Dim rows{"N", s.num_envs()};
  RolloutRequest request{num_steps,
                         read_seed(seed),
                         read_psi(psi, rows, s.spec().task_dim()),
                         ou_theta,
                         ou_sigma,
                         deterministic,
                         {},
                         {},
                         0};
  if (!policy_of_env.is_none()) {
    request.policy_of_env = read_span<std::int32_t>(policy_of_env, "policy_of_env", {rows});
  }
  read_contexts(contexts, rows, request);
  RolloutOutput out({s.num_envs(), num_steps}, s.spec());
  {
    const ReleasedGil released;
    real_rollout(s, pointers_to(packed), request, out.arrays(), poll_signals());
  }
  return out.rollout();
}

}  // namespace

void bind_rollout_method(SimulationClass& simulation) {
  simulation.def("rollout", &rollout, py::kw_only(), py::arg("policies"), py::arg("num_steps"),
                 py::arg("seed"), py::arg("psi"), py::arg("policy_of_env") = py::none(),
                 py::arg("contexts") = py::none(), py::arg("ou_theta") = 0.0,
                 py::arg("ou_sigma") = 0.0, py::arg("deterministic") = false,
                 R"(Resets with the seed and takes T steps in every environment.

Args:
    policies: PolicyArrays or SquashedPolicyArrays, of one kind; read at the call.
    num_steps: T.
    seed: of the reset states and the actions, in [0, 2**64).
    psi: (K,) or (N, K) float64.
    policy_of_env: (N,) int32, which policy acts in each environment; None: the only one.
    contexts: (N, C) float32: the policy of environment i sees [s, contexts[i]]; None: C = 0.
    ou_theta: mean reversion of the exploration noise of Gaussian policies, per step.
    ou_sigma: its scale; 0: none.
    deterministic: the actions without any noise.

Returns:
    obs, next_obs (N, T, D), actions (N, T, A), reward_grads (N, T, K), rewards, base_rewards,
    log_probs (N, T) float32, dones, timeouts, excluded (N, T) bool.

Raises:
    ValueError: arguments that do not fit each other, or an action that is not finite.
    SimulationError: MuJoCo raised an error in some environments.

Determinism: the same bits at any number of threads.)");
}

}  // namespace admrl

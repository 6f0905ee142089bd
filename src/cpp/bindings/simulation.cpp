#include "core/environment/simulation.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/gil.hpp"
#include "bindings/policy.hpp"
#include "core/rollout/real_rollout.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// A seed from a Python integer. Raises InvalidInput outside [0, 2^64).
std::uint64_t read_seed(const py::int_& seed) {
  const unsigned long long value = PyLong_AsUnsignedLongLong(seed.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidInput("seed: expected an integer in [0, 2**64), got " +
                       std::string(py::str(seed)));
  }
  return value;
}

void reset(Simulation& s, const std::optional<py::int_>& seed, const py::object& mask) {
  if (seed && !mask.is_none()) {
    throw InvalidInput("mask: expected None when a seed is given: a new stream begins everywhere");
  }
  if (seed) {
    const std::uint64_t value = read_seed(*seed);
    const ReleasedGil released;
    s.reset(value);
    return;
  }
  std::span<const bool> selected;
  if (!mask.is_none()) selected = read_span<bool>(mask, "mask", {{"N", s.num_envs()}});
  const ReleasedGil released;
  s.reset_next(selected);
}

py::array observations(const Simulation& s) {
  return filled<float>({s.num_envs(), s.spec().obs_dim()},
                       [&](std::span<float> out) { s.observations(out); });
}

py::array initial_observations(const Simulation& s, int n, const py::int_& seed) {
  require_at_least_one("n", n);
  const std::uint64_t value = read_seed(seed);
  return filled<float>({n, s.spec().obs_dim()},
                       [&](std::span<float> out) { s.initial_observations(value, out); });
}

py::array state(const Simulation& s) {
  return filled<double>({s.num_envs(), s.state_dim()},
                        [&](std::span<double> out) { s.states(out); });
}

py::dict step(Simulation& s, const py::object& actions, const py::object& psi) {
  const Dim rows{"N", s.num_envs()};
  const auto act = read_span<float>(actions, "actions", {rows, {"A", s.spec().act_dim()}});
  const TaskParams task = read_psi(psi, rows, s.spec().task_dim());
  RolloutOutput out({s.num_envs()}, s.spec());
  {
    const ReleasedGil released;
    s.step(act, task, out.arrays().steps);
  }
  return out.steps();
}

// Reads `contexts` into the request; None: no context.
void read_contexts(const py::object& contexts, const Dim& rows, RolloutRequest& request) {
  if (contexts.is_none()) return;
  const auto values = read_span<float>(contexts, "contexts", {rows, {"C"}});
  request.contexts = values;
  request.context_dim = static_cast<int>(values.shape[1]);
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

void bind_simulation(py::module_& m) {
  py::classh<Simulation>(m, "Simulation", "N environments of one family, on a pool of threads.")
      .def(py::init([](const FamilySpec& spec, std::string model_path, int num_envs,
                       int num_threads, int frame_skip, int horizon, bool halve_margins,
                       bool reset_within_limits, double position_noise, double velocity_noise) {
             const EnvironmentOptions options{
                 std::move(model_path), frame_skip,     horizon,       halve_margins,
                 reset_within_limits,   position_noise, velocity_noise};
             const ReleasedGil released;
             return std::make_unique<Simulation>(Environment(spec, options), num_envs, num_threads);
           }),
           py::kw_only(), py::arg("spec"), py::arg("model_path"), py::arg("num_envs"),
           py::arg("num_threads"), py::arg("frame_skip"), py::arg("horizon"),
           py::arg("halve_margins"), py::arg("reset_within_limits"), py::arg("position_noise"),
           py::arg("velocity_noise"))
      .def_property_readonly("obs_dim", [](const Simulation& s) { return s.spec().obs_dim(); })
      .def_property_readonly("act_dim", [](const Simulation& s) { return s.spec().act_dim(); })
      .def_property_readonly("task_dim", [](const Simulation& s) { return s.spec().task_dim(); })
      .def_property_readonly("num_envs", &Simulation::num_envs)
      .def_property_readonly("num_threads", &Simulation::num_threads)
      .def_property_readonly("horizon", &Simulation::horizon)
      .def_property_readonly("timestep",
                             [](const Simulation& s) { return s.environment().timestep(); })
      .def_property_readonly("load_warning",
                             [](const Simulation& s) { return s.environment().load_warning(); })
      .def("reset", &reset, py::arg("seed") = py::none(), py::arg("mask") = py::none())
      .def("observations", &observations)
      .def("initial_observations", &initial_observations, py::arg("n"), py::arg("seed"))
      .def("state", &state)
      .def("step", &step, py::arg("actions"), py::arg("psi"))
      .def("rollout", &rollout, py::kw_only(), py::arg("policies"), py::arg("num_steps"),
           py::arg("seed"), py::arg("psi"), py::arg("policy_of_env") = py::none(),
           py::arg("contexts") = py::none(), py::arg("ou_theta") = 0.0, py::arg("ou_sigma") = 0.0,
           py::arg("deterministic") = false,
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

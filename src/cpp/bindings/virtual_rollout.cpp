#include "core/rollout/virtual_rollout.hpp"

#include <memory>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/family.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"
#include "bindings/policy.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

std::unique_ptr<VirtualModel> make_model(ThreadPool& pool, const py::sequence& layers,
                                         const py::object& low, const py::object& high,
                                         const std::string& precision) {
  const Layers kept("layers", layers);
  const auto views = kept.read();
  const auto lows = read_span<float>(low, "low", {{"D"}});
  const auto highs = read_span<float>(high, "high", {{"D"}});
  const Precision of_products = precision_named(precision);
  const ReleasedGil released;
  return std::make_unique<VirtualModel>(views, lows, highs, of_products, pool);
}

py::array_t<float> predict(const VirtualModel& model, ThreadPool& pool, const py::object& states,
                           const py::object& actions) {
  const auto s = read_span<float>(states, "states", {{"M"}, {"D", model.obs_dim()}});
  const auto a = read_span<float>(actions, "actions", {{"M", s.shape[0]}, {"A", model.act_dim()}});
  return filled<float>({s.shape[0], model.obs_dim()},
                       [&](std::span<float> next) { model.predict(pool, s, a, next); });
}

py::dict rollouts(ThreadPool& pool, const VirtualModel& model, const FamilySpec& family,
                  const py::sequence& policy_items, const py::object& psis,
                  const py::object& start_states, const py::sequence& noise_items,
                  const py::sequence& start_items, int horizon) {
  // Taken once and kept: a sequence may make its items when it is asked for them, and change.
  const py::tuple noise(noise_items), starts(start_items);
  const auto policies = pack_policies(policy_items);
  const auto num_tasks = static_cast<py::ssize_t>(policies.size());
  require(noise.size() == policies.size() && starts.size() == policies.size(),
          "noise, starts: expected one for each of the ", num_tasks, " policies, got ",
          noise.size(), " and ", starts.size());
  const Dim act_dim{"A", family.act_dim()}, obs_dim{"D", family.obs_dim()};
  const py::object first = noise[0];
  const auto sizes = read_span<float>(first, "noise[0]", {{"T"}, {"N"}, act_dim}).shape;
  const py::ssize_t num_steps = sizes[0], num_envs = sizes[1];
  const auto psi = read_span<double>(psis, "psis", {{"B", num_tasks}, {"K", family.task_dim()}});
  std::vector<VirtualTask> tasks;
  for (std::size_t b = 0; b < policies.size(); ++b) {
    const std::string index = "[" + std::to_string(b) + "]";
    const py::object task_noise = noise[b], task_starts = starts[b];
    tasks.push_back(
        {policies[b].get(), psi.data() + b * to_size(family.task_dim()),
         read_span<float>(task_noise, "noise" + index, {{"T", num_steps}, {"N", num_envs}, act_dim})
             .data(),
         read_span<std::int64_t>(task_starts, "starts" + index,
                                 {{"T + 1", num_steps + 1}, {"N", num_envs}})
             .data()});
  }
  const auto states = read_span<float>(start_states, "start_states", {{"S"}, obs_dim});
  RolloutOutput out({num_tasks, num_envs, num_steps}, family);
  {
    const ReleasedGil released;
    virtual_rollout(
        pool, model, family,
        {tasks, states, static_cast<int>(num_envs), static_cast<int>(num_steps), horizon},
        out.arrays());
  }
  return out.rollout();
}

}  // namespace

void bind_virtual_rollout(py::module_& m) {
  py::classh<VirtualModel>(m, "VirtualModel", R"(The learned dynamics model, packed for rollouts.

s' = clip(s + network([s, clip(a, -1, 1)]), low, high), all in real units.

Args:
    pool: threads that pack.
    layers: [(weight (out, in), bias (out,)), ...] float32, (D + A) to D, ReLU between; copied.
    low: (D,) float32, copied.
    high: (D,) float32, copied.
    precision: of the products; "fp32", or "bf16": weights and activations of every layer but the
        first rounded to bfloat16, sums and the state in float32.

Raises:
    ValueError: layers that do not fit, numbers that are not finite, or bf16 on a processor
        without it.)")
      .def(py::init(&make_model), py::arg("pool"), py::arg("layers"), py::arg("low"),
           py::arg("high"), py::kw_only(), py::arg("precision") = "fp32")
      .def("predict", &predict, py::arg("pool"), py::arg("states"), py::arg("actions"),
           R"(Next states (M, D) float32 of states (M, D) and actions (M, A) float32, both viewed.

Raises:
    ValueError: arrays of another shape or type.

Determinism: as in a rollout: the bits of a row depend on nothing but the model and the row.)");
  m.def("virtual_rollouts", &rollouts, py::arg("pool"), py::arg("model"), py::arg("family"),
        py::arg("policies"), py::arg("psis"), py::arg("start_states"), py::arg("noise"),
        py::arg("starts"), py::kw_only(), py::arg("horizon"),
        R"(Rolls out B policies for B tasks in one model (Algorithm 2, line 5).

Args:
    pool: threads that share the work.
    model: the dynamics.
    family: reward and termination.
    policies: B of them; read at the call.
    psis: (B, K) float64.
    start_states: (S, D) float32, viewed.
    noise: B standard normal arrays (T, N, A) float32, viewed.
    starts: B arrays (T + 1, N) int64 of rows of start_states, viewed: where environment n begins
        if an episode of its own ended at step t - 1 (or, t = 0, at the beginning).
    horizon: steps after which an episode times out.

Returns:
    obs, next_obs (B, N, T, D), actions (B, N, T, A), reward_grads (B, N, T, K), rewards,
    base_rewards, log_probs (B, N, T) float32, dones, timeouts (B, N, T) bool.

Raises:
    ValueError: arguments that do not fit each other.

Determinism: the bits of a task depend on its arguments and on build_info()["kernels"], neither on
the number of threads nor on the other tasks.)");
}

}  // namespace admrl

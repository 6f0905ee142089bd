#include "core/rollout/real_rollout.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "core/check.hpp"
#include "core/environment/random.hpp"

namespace admrl {

namespace {

constexpr int kNone = -1;

// Everything the environments need while they run; each has its own slices.
struct Rollout {
  Simulation& sim;
  std::span<const Policy* const> policies;
  const RolloutRequest& request;
  const RolloutArrays& out;
  std::size_t obs_dim;
  std::size_t input_dim;  // D + C
  std::size_t act_dim;
  std::size_t scratch_stride;
  std::vector<float> scratch;      // (N, scratch_stride): [s, c], normal numbers, of the policy
  std::vector<float> exploration;  // (N, A): state of the Ornstein-Uhlenbeck process
  std::vector<int> bad_step;       // (N): step whose action was not finite, or kNone
};

// The noise of the environment's current step, written into `normal` (A) and the exploration.
ActionNoise draw_noise(Rollout& r, int env, float* normal) noexcept {
  ActionNoise noise{nullptr, nullptr};
  if (r.request.deterministic) return noise;
  const auto step = static_cast<std::uint32_t>(r.sim.step_count(env));
  Stream stream{r.sim.seed(), static_cast<std::uint32_t>(env), r.sim.episode(env),
                Purpose::kExploration};
  if (r.request.ou_sigma > 0.0) {
    const auto theta = static_cast<float>(r.request.ou_theta);
    const auto sigma = static_cast<float>(r.request.ou_sigma);
    float* x = r.exploration.data() + to_size(env) * r.act_dim;
    fill_normal(stream, step, {normal, r.act_dim});
    for (std::size_t i = 0; i < r.act_dim; ++i) x[i] += sigma * normal[i] - theta * x[i];
    noise.exploration = x;
  }
  stream.purpose = Purpose::kAction;
  fill_normal(stream, step, {normal, r.act_dim});
  noise.normal = normal;
  return noise;
}

// Writes the action for the observation (D); false if it is not finite.
bool choose_action(Rollout& r, int env, const float* obs, float* action, float* log_prob) noexcept {
  const auto e = to_size(env);
  const auto assigned = r.request.policy_of_env;
  const Policy& policy = *r.policies[assigned.empty() ? 0 : to_size(assigned[e])];
  float* input = r.scratch.data() + e * r.scratch_stride;  // its context is there already
  float* normal = input + r.input_dim;
  std::copy_n(obs, r.obs_dim, input);
  const ActionNoise noise = draw_noise(r, env, normal);
  *log_prob = policy.act(input, noise, action, normal + r.act_dim);
  return std::all_of(action, action + r.act_dim, [](float a) { return std::isfinite(a); });
}

void run_steps(void* context, const mjModel* m, mjData* d, int env, int first, int last) {
  auto& r = *static_cast<Rollout*>(context);
  const auto e = to_size(env);
  if (r.bad_step[e] != kNone) return;
  for (int t = first; t < last; ++t) {
    const std::size_t row = e * to_size(r.request.num_steps) + to_size(t);
    float* obs = r.out.obs + row * r.obs_dim;
    float* action = r.out.actions + row * r.act_dim;
    const double* current = r.sim.obs(env);
    for (std::size_t i = 0; i < r.obs_dim; ++i) obs[i] = static_cast<float>(current[i]);
    if (!choose_action(r, env, obs, action, r.out.log_probs + row)) {
      r.bad_step[e] = t;
      return;
    }
    if (r.sim.act_unlocked(m, d, env, action, r.request.psi.row(env), r.out.steps, row)) {
      r.sim.begin_next_episode_unlocked(m, d, env);
      std::fill_n(r.exploration.data() + e * r.act_dim, r.act_dim, 0.0F);
    }
  }
}

void require_policies(std::span<const Policy* const> policies, int obs_dim, int context_dim,
                      int act_dim) {
  require(!policies.empty(), "policies: expected at least one");
  for (std::size_t b = 0; b < policies.size(); ++b) {
    require(policies[b]->obs_dim() == obs_dim + context_dim, "policies[", b,
            "]: expected inputs D + C=", obs_dim, " + ", context_dim,
            ", of the family and the contexts, got ", policies[b]->obs_dim());
    require(policies[b]->act_dim() == act_dim, "policies[", b, "]: expected A=", act_dim,
            " as the family has, got ", policies[b]->act_dim());
  }
}

void require_assignment(std::span<const std::int32_t> policy_of_env, std::size_t num_policies,
                        std::size_t num_envs) {
  if (policy_of_env.empty()) {
    require(num_policies == 1, "policy_of_env: expected, as there are ", num_policies,
            " policies, got None");
    return;
  }
  require(policy_of_env.size() == num_envs, "policy_of_env: expected (N=", num_envs, ",), got (",
          policy_of_env.size(), ",)");
  for (std::size_t env = 0; env < num_envs; ++env) {
    require(policy_of_env[env] >= 0 && to_size(policy_of_env[env]) < num_policies,
            "policy_of_env: expected values in [0, ", num_policies, "), got ", policy_of_env[env],
            " in environment ", env);
  }
}

void require_contexts(std::span<const float> contexts, std::size_t num_envs,
                      std::size_t context_dim) {
  require(contexts.size() == num_envs * context_dim, "contexts: expected ", num_envs * context_dim,
          " numbers, got ", contexts.size());
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    require<NotFinite>(std::isfinite(contexts[i]), "contexts: expected finite values, got ",
                       contexts[i], " in environment ", i / context_dim);
  }
}

}  // namespace

void real_rollout(Simulation& simulation, std::span<const Policy* const> policies,
                  const RolloutRequest& request, const RolloutArrays& out, const Poll& poll) {
  const FamilySpec& family = simulation.spec();
  const auto n = to_size(simulation.num_envs());
  const auto context_dim = to_size(request.context_dim);
  require_policies(policies, family.obs_dim(), request.context_dim, family.act_dim());
  require_assignment(request.policy_of_env, policies.size(), n);
  require_contexts(request.contexts, n, context_dim);
  require_not_negative("ou_theta", request.ou_theta);
  require_not_negative("ou_sigma", request.ou_sigma);
  const bool explore =
      std::ranges::all_of(policies, [](const Policy* policy) { return policy->explores(); });
  require(request.ou_sigma == 0.0 || explore,
          "ou_sigma: expected 0, as squashed policies take no exploration noise, got ",
          request.ou_sigma);

  const auto obs_dim = to_size(family.obs_dim());
  const auto act_dim = to_size(family.act_dim());
  const std::size_t input_dim = obs_dim + context_dim;
  int of_policy = 0;
  for (const Policy* policy : policies) of_policy = std::max(of_policy, policy->scratch_size());
  // A cache line between environments, so that threads do not share one.
  const std::size_t stride = input_dim + act_dim + to_size(of_policy) + 16;
  Rollout rollout{.sim = simulation,
                  .policies = policies,
                  .request = request,
                  .out = out,
                  .obs_dim = obs_dim,
                  .input_dim = input_dim,
                  .act_dim = act_dim,
                  .scratch_stride = stride,
                  .scratch = std::vector<float>(n * stride),
                  .exploration = std::vector<float>(n * act_dim),
                  .bad_step = std::vector<int>(n, kNone)};
  for (std::size_t env = 0; env < n; ++env) {
    std::copy_n(request.contexts.data() + env * context_dim, context_dim,
                rollout.scratch.data() + env * stride + obs_dim);
  }
  const auto held = simulation.lock();
  simulation.run_unlocked(request.seed, request.num_steps, &run_steps, &rollout, poll);
  for (std::size_t env = 0; env < n; ++env) {
    require<NotFinite>(rollout.bad_step[env] == kNone,
                       "policy: the action is not finite in environment ", env, ", step ",
                       rollout.bad_step[env]);
  }
}

}  // namespace admrl

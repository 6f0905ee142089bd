#include "core/real_rollout.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"

namespace admrl {

namespace {

constexpr int kNone = -1;

// The noise of one action (A); nullptr: none.
struct Noise {
  const float* normal;
  const float* exploration;
};

// Everything the environments need while they run; each has its own slices.
template <class Policy>
struct Rollout {
  Simulation& sim;
  std::span<const Policy> policies;
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

int scratch_of(const GaussianPolicy& policy) noexcept {
  return policy.act_dim() + policy.scratch_size();
}
int scratch_of(const SquashedGaussianPolicy& policy) noexcept { return policy.scratch_size(); }

// Writes the action; returns its log pi.
float act(const GaussianPolicy& policy, const float* input, Noise noise, float* action,
          float* scratch) noexcept {
  const auto n = static_cast<std::size_t>(policy.act_dim());
  float* mean = scratch;
  policy.mean(input, mean, scratch + n);
  std::copy_n(mean, n, action);
  if (noise.normal != nullptr) {
    for (std::size_t i = 0; i < n; ++i) action[i] += policy.std()[i] * noise.normal[i];
  }
  if (noise.exploration != nullptr) {
    for (std::size_t i = 0; i < n; ++i) action[i] += noise.exploration[i];
  }
  return policy.log_prob(action, mean);
}
float act(const SquashedGaussianPolicy& policy, const float* input, Noise noise, float* action,
          float* scratch) noexcept {
  return policy.act(input, noise.normal, action, scratch);
}

// The noise of the environment's current step, written into `normal` (A) and the exploration.
template <class Policy>
Noise draw_noise(Rollout<Policy>& r, int env, float* normal) noexcept {
  Noise noise{nullptr, nullptr};
  if (r.request.deterministic) return noise;
  const auto step = static_cast<std::uint32_t>(r.sim.step_count(env));
  Stream stream{r.sim.seed(), static_cast<std::uint32_t>(env), r.sim.episode(env),
                Purpose::kExploration};
  if (r.request.ou_sigma > 0.0) {
    const auto theta = static_cast<float>(r.request.ou_theta);
    const auto sigma = static_cast<float>(r.request.ou_sigma);
    float* x = r.exploration.data() + static_cast<std::size_t>(env) * r.act_dim;
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
template <class Policy>
bool choose_action(Rollout<Policy>& r, int env, const float* obs, float* action,
                   float* log_prob) noexcept {
  const auto e = static_cast<std::size_t>(env);
  const Policy& policy = r.policies[r.request.policy_of_env.empty()
                                        ? 0
                                        : static_cast<std::size_t>(r.request.policy_of_env[e])];
  float* input = r.scratch.data() + e * r.scratch_stride;  // its context is there already
  float* normal = input + r.input_dim;
  std::copy_n(obs, r.obs_dim, input);
  const Noise noise = draw_noise(r, env, normal);
  *log_prob = act(policy, input, noise, action, normal + r.act_dim);
  return std::all_of(action, action + r.act_dim, [](float a) { return std::isfinite(a); });
}

template <class Policy>
void run_steps(void* context, const mjModel* m, mjData* d, int env, int first, int last) {
  auto& r = *static_cast<Rollout<Policy>*>(context);
  const auto e = static_cast<std::size_t>(env);
  if (r.bad_step[e] != kNone) return;
  for (int t = first; t < last; ++t) {
    const std::size_t row =
        e * static_cast<std::size_t>(r.request.num_steps) + static_cast<std::size_t>(t);
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

void require(bool condition, const std::string& message) {
  if (!condition) throw InvalidInput(message);
}

void require_noise(const char* name, double value) {
  require(std::isfinite(value) && value >= 0.0,
          std::string(name) + ": expected a finite number >= 0, got " + std::to_string(value));
}

template <class Policy>
void require_policies(std::span<const Policy> policies, int obs_dim, int context_dim, int act_dim) {
  require(!policies.empty(), "policies: expected at least one");
  for (std::size_t b = 0; b < policies.size(); ++b) {
    const std::string name = "policies[" + std::to_string(b) + "]: expected ";
    require(policies[b].obs_dim() == obs_dim + context_dim,
            name + "inputs D + C=" + std::to_string(obs_dim) + " + " + std::to_string(context_dim) +
                ", of the family and the contexts, got " + std::to_string(policies[b].obs_dim()));
    require(policies[b].act_dim() == act_dim, name + "A=" + std::to_string(act_dim) +
                                                  " as the family has, got " +
                                                  std::to_string(policies[b].act_dim()));
  }
}

void require_assignment(std::span<const std::int32_t> policy_of_env, std::size_t num_policies,
                        std::size_t num_envs) {
  if (policy_of_env.empty()) {
    require(num_policies == 1, "policy_of_env: expected, as there are " +
                                   std::to_string(num_policies) + " policies, got None");
    return;
  }
  require(policy_of_env.size() == num_envs,
          "policy_of_env: expected (N=" + std::to_string(num_envs) + ",), got (" +
              std::to_string(policy_of_env.size()) + ",)");
  for (std::size_t env = 0; env < num_envs; ++env) {
    require(policy_of_env[env] >= 0 && static_cast<std::size_t>(policy_of_env[env]) < num_policies,
            "policy_of_env: expected values in [0, " + std::to_string(num_policies) + "), got " +
                std::to_string(policy_of_env[env]) + " in environment " + std::to_string(env));
  }
}

void require_contexts(std::span<const float> contexts, std::size_t num_envs,
                      std::size_t context_dim) {
  require(contexts.size() == num_envs * context_dim,
          "contexts: expected " + std::to_string(num_envs * context_dim) + " numbers, got " +
              std::to_string(contexts.size()));
  const auto bad =
      std::find_if(contexts.begin(), contexts.end(), [](float c) { return !std::isfinite(c); });
  if (bad != contexts.end()) {
    const auto at = static_cast<std::size_t>(bad - contexts.begin());
    throw NotFinite("contexts: expected finite values, got " + std::to_string(*bad) +
                    " in environment " + std::to_string(at / context_dim));
  }
}

template <class Policy>
void roll_out(Simulation& simulation, std::span<const Policy> policies,
              const RolloutRequest& request, const RolloutArrays& out, const Poll& poll) {
  const FamilySpec& family = simulation.spec();
  const auto n = static_cast<std::size_t>(simulation.num_envs());
  const auto context_dim = static_cast<std::size_t>(request.context_dim);
  require_policies(policies, family.obs_dim(), request.context_dim, family.act_dim());
  require_assignment(request.policy_of_env, policies.size(), n);
  require_contexts(request.contexts, n, context_dim);
  require_noise("ou_theta", request.ou_theta);
  require_noise("ou_sigma", request.ou_sigma);

  const auto obs_dim = static_cast<std::size_t>(family.obs_dim());
  const auto act_dim = static_cast<std::size_t>(family.act_dim());
  const std::size_t input_dim = obs_dim + context_dim;
  int of_policy = 0;
  for (const Policy& policy : policies) of_policy = std::max(of_policy, scratch_of(policy));
  // A cache line between environments, so that threads do not share one.
  const std::size_t stride = input_dim + act_dim + static_cast<std::size_t>(of_policy) + 16;
  Rollout<Policy> rollout{simulation,
                          policies,
                          request,
                          out,
                          obs_dim,
                          input_dim,
                          act_dim,
                          stride,
                          std::vector<float>(n * stride),
                          std::vector<float>(n * act_dim),
                          std::vector<int>(n, kNone)};
  for (std::size_t env = 0; env < n; ++env) {
    std::copy_n(request.contexts.data() + env * context_dim, context_dim,
                rollout.scratch.data() + env * stride + obs_dim);
  }
  const auto held = simulation.lock();
  simulation.run_unlocked(request.seed, request.num_steps, &run_steps<Policy>, &rollout, poll);
  const auto bad = std::find_if(rollout.bad_step.begin(), rollout.bad_step.end(),
                                [](int step) { return step != kNone; });
  if (bad != rollout.bad_step.end()) {
    throw NotFinite("policy: the action is not finite in environment " +
                    std::to_string(bad - rollout.bad_step.begin()) + ", step " +
                    std::to_string(*bad));
  }
}

}  // namespace

void real_rollout(Simulation& simulation, std::span<const GaussianPolicy> policies,
                  const RolloutRequest& request, const RolloutArrays& out, const Poll& poll) {
  roll_out(simulation, policies, request, out, poll);
}

void real_rollout(Simulation& simulation, std::span<const SquashedGaussianPolicy> policies,
                  const RolloutRequest& request, const RolloutArrays& out, const Poll& poll) {
  require(request.ou_sigma == 0.0,
          "ou_sigma: expected 0, as squashed policies take no exploration noise, got " +
              std::to_string(request.ou_sigma));
  roll_out(simulation, policies, request, out, poll);
}

}  // namespace admrl

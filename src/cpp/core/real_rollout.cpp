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

// Everything the environments need while they run; each has its own slices.
struct Rollout {
  Simulation& sim;
  const GaussianPolicy& policy;
  const RolloutRequest& request;
  const RolloutArrays& out;
  std::size_t obs_dim;
  std::size_t act_dim;
  std::size_t scratch_stride;
  std::vector<float> scratch;      // (N, scratch_stride): mean action, normal numbers, network
  std::vector<float> exploration;  // (N, A): state of the Ornstein-Uhlenbeck process
  std::vector<int> bad_step;       // (N): step whose action was not finite, or kNone
};

// Writes the action of the environment's current observation; false if it is not finite.
bool choose_action(Rollout& r, int env, const float* obs, float* action, float* log_prob) noexcept {
  const auto e = static_cast<std::size_t>(env);
  float* mean = r.scratch.data() + e * r.scratch_stride;
  float* normal = mean + r.act_dim;
  r.policy.mean(obs, mean, normal + r.act_dim);
  std::copy_n(mean, r.act_dim, action);
  if (!r.request.deterministic) {
    const auto step = static_cast<std::uint32_t>(r.sim.step_count(env));
    Stream stream{r.sim.seed(), static_cast<std::uint32_t>(env), r.sim.episode(env),
                  Purpose::kAction};
    fill_normal(stream, step, {normal, r.act_dim});
    for (std::size_t i = 0; i < r.act_dim; ++i) action[i] += r.policy.std()[i] * normal[i];
    if (r.request.ou_sigma > 0.0) {
      const auto theta = static_cast<float>(r.request.ou_theta);
      const auto sigma = static_cast<float>(r.request.ou_sigma);
      float* x = r.exploration.data() + e * r.act_dim;
      stream.purpose = Purpose::kExploration;
      fill_normal(stream, step, {normal, r.act_dim});
      for (std::size_t i = 0; i < r.act_dim; ++i) {
        x[i] += sigma * normal[i] - theta * x[i];
        action[i] += x[i];
      }
    }
  }
  *log_prob = r.policy.log_prob(action, mean);
  return std::all_of(action, action + r.act_dim, [](float a) { return std::isfinite(a); });
}

void run_steps(void* context, const mjModel* m, mjData* d, int env, int first, int last) {
  auto& r = *static_cast<Rollout*>(context);
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

void require_dims(const char* name, int got, int expected) {
  if (got == expected) return;
  throw InvalidInput(std::string("policy: expected ") + name + "=" + std::to_string(expected) +
                     " as the family has, got " + std::to_string(got));
}

void require_noise(const char* name, double value) {
  if (std::isfinite(value) && value >= 0.0) return;
  throw InvalidInput(std::string(name) + ": expected a finite number >= 0, got " +
                     std::to_string(value));
}

}  // namespace

void real_rollout(Simulation& simulation, const GaussianPolicy& policy,
                  const RolloutRequest& request, const RolloutArrays& out, const Poll& poll) {
  require_dims("D", policy.obs_dim(), simulation.spec().obs_dim());
  require_dims("A", policy.act_dim(), simulation.spec().act_dim());
  require_noise("ou_theta", request.ou_theta);
  require_noise("ou_sigma", request.ou_sigma);
  const auto n = static_cast<std::size_t>(simulation.num_envs());
  const auto act_dim = static_cast<std::size_t>(policy.act_dim());
  // A cache line between environments, so that threads do not share one.
  const std::size_t stride = 2 * act_dim + static_cast<std::size_t>(policy.scratch_size()) + 16;
  Rollout rollout{simulation,
                  policy,
                  request,
                  out,
                  static_cast<std::size_t>(policy.obs_dim()),
                  act_dim,
                  stride,
                  std::vector<float>(n * stride),
                  std::vector<float>(n * act_dim),
                  std::vector<int>(n, kNone)};
  const auto held = simulation.lock();
  simulation.run_unlocked(request.seed, request.num_steps, &run_steps, &rollout, poll);
  const auto bad = std::find_if(rollout.bad_step.begin(), rollout.bad_step.end(),
                                [](int step) { return step != kNone; });
  if (bad != rollout.bad_step.end()) {
    throw InvalidInput("policy: the action is not finite in environment " +
                       std::to_string(bad - rollout.bad_step.begin()) + ", step " +
                       std::to_string(*bad));
  }
}

}  // namespace admrl

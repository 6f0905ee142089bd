#include "core/update/advantage.hpp"

#include "core/check.hpp"

namespace admrl {

void require_fraction(const char* name, double value) {
  require(value >= 0.0 && value <= 1.0, name, ": expected a number in [0, 1], got ", value);
}

std::size_t checked_steps(const Trajectories& shape) {
  const std::size_t steps = shape.num_envs * shape.horizon;
  require(steps > 0, "trajectories: expected at least one step");
  require_elements("dones", shape.dones.size(), steps);
  require_elements("timeouts", shape.timeouts.size(), steps);
  return steps;
}

void advantages(const Trajectories& shape, std::span<const float> rewards,
                std::span<const float> values, std::span<const float> next_values, double gamma,
                double lambda, std::span<float> advantages, std::span<float> returns) {
  const std::size_t steps = checked_steps(shape);
  require_elements("rewards", rewards.size(), steps);
  require_elements("values", values.size(), steps);
  require_elements("next_values", next_values.size(), steps);
  require_elements("advantages", advantages.size(), steps);
  require_elements("returns", returns.size(), steps);
  require_fraction("gamma", gamma);
  require_fraction("lam", lambda);
  for (std::size_t env = 0; env < shape.num_envs; ++env) {
    double carry = 0.0;
    for (std::size_t t = shape.horizon; t-- > 0;) {
      const std::size_t i = env * shape.horizon + t;
      const double value = static_cast<double>(values[i]);
      const double bootstrap = shape.dones[i] ? 0.0 : gamma * static_cast<double>(next_values[i]);
      const double delta = static_cast<double>(rewards[i]) + bootstrap - value;
      carry = shape.ends(env, t) ? delta : delta + gamma * lambda * carry;
      advantages[i] = static_cast<float>(carry);
      returns[i] = static_cast<float>(carry + value);
    }
  }
}

void reward_grad_advantages(const Trajectories& shape, std::size_t task_dim,
                            std::span<const float> reward_grads, double gamma, double lambda,
                            std::span<float> out) {
  const std::size_t steps = checked_steps(shape);
  require_elements("reward_grads", reward_grads.size(), steps * task_dim);
  require_elements("out", out.size(), steps * task_dim);
  require_fraction("gamma", gamma);
  require_fraction("lam", lambda);
  std::vector<double> carry(task_dim);
  for (std::size_t env = 0; env < shape.num_envs; ++env) {
    for (std::size_t t = shape.horizon; t-- > 0;) {
      const std::size_t i = (env * shape.horizon + t) * task_dim;
      const double keep = shape.ends(env, t) ? 0.0 : gamma * lambda;
      for (std::size_t k = 0; k < task_dim; ++k) {
        const double now = static_cast<double>(reward_grads[i + k]);
        carry[k] = keep == 0.0 ? now : now + keep * carry[k];
        out[i + k] = static_cast<float>(carry[k]);
      }
    }
  }
}

void episode_weights(const Trajectories& shape, double gamma, std::span<double> out) {
  const std::size_t steps = checked_steps(shape);
  require_elements("out", out.size(), steps);
  require_fraction("gamma", gamma);
  // begun[c]: episodes that begin at or before column c
  std::vector<double> begun(shape.horizon, 0.0);
  for (std::size_t env = 0; env < shape.num_envs; ++env) {
    begun[0] += 1.0;
    for (std::size_t t = 0; t + 1 < shape.horizon; ++t) {
      if (shape.ends(env, t)) begun[t + 1] += 1.0;
    }
  }
  for (std::size_t c = 1; c < shape.horizon; ++c) begun[c] += begun[c - 1];

  for (std::size_t env = 0; env < shape.num_envs; ++env) {
    std::size_t age = 0;
    double discount = 1.0;
    for (std::size_t t = 0; t < shape.horizon; ++t) {
      out[env * shape.horizon + t] = discount / begun[shape.horizon - 1 - age];
      ++age;
      discount *= gamma;
      if (shape.ends(env, t)) {
        age = 0;
        discount = 1.0;
      }
    }
  }
}

}  // namespace admrl

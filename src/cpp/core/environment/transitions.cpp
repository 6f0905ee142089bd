#include "core/environment/transitions.hpp"

#include <algorithm>

#include "core/check.hpp"

namespace admrl {

bool record(const FamilySpec& family, const Transition& transition, double* grad,
            const StepArrays& out, std::size_t row) noexcept {
  const auto [next_obs, action, psi, sound, last] = transition;
  const std::size_t obs_dim = to_size(family.obs_dim()), task_dim = to_size(family.task_dim());
  Reward r = family.evaluate(next_obs, action, psi, grad);
  if (out.excluded != nullptr) {
    const bool excluded = !sound || !is_finite({next_obs, obs_dim}) ||
                          !is_finite({grad, task_dim}) || !is_finite({&r.reward, 1}) ||
                          !is_finite({&r.base, 1});
    out.excluded[row] = excluded;
    if (excluded) {
      r = {0.0, 0.0, true};
      std::fill_n(grad, task_dim, 0.0);
    }
  }
  const bool timeout = last && !r.done;
  const auto narrow = [](double x) { return static_cast<float>(x); };
  std::transform(next_obs, next_obs + obs_dim, out.next_obs + row * obs_dim, narrow);
  std::transform(grad, grad + task_dim, out.reward_grads + row * task_dim, narrow);
  out.rewards[row] = narrow(r.reward);
  out.base_rewards[row] = narrow(r.base);
  out.dones[row] = r.done;
  out.timeouts[row] = timeout;
  return r.done || timeout;
}

}  // namespace admrl

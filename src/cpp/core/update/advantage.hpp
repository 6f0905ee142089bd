// Backward recursions over trajectories: advantages and their derivative in the task.
//
// Arrays are env-major, C order; rows are environments, columns are steps. A segment ends at a done
// step, at a timeout and at the last column. All sums are accumulated in float64. O(N T K).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace admrl {

// The sizes and flags that every recursion needs; the spans are borrowed.
struct Trajectories {
  std::size_t num_envs;
  std::size_t horizon;
  std::span<const bool> dones;     // (N, T)
  std::span<const bool> timeouts;  // (N, T)

  bool ends(std::size_t env, std::size_t step) const {
    const std::size_t i = env * horizon + step;
    return dones[i] || timeouts[i] || step + 1 == horizon;
  }
};

// Raise InvalidInput: no step at all or flags of another size (returns the number of steps), a
// factor outside [0, 1].
std::size_t checked_steps(const Trajectories& shape);
void require_fraction(const char* name, double value);

// Generalised advantage estimation:
//   delta_t = r_t + gamma (1 - done_t) V(s'_t) - V(s_t)
//   A_t = delta_t + gamma lambda (1 - end_t) A_{t+1},   returns_t = A_t + V(s_t)
// next_values of a done step is never read: it may be NaN. All spans (N, T).
// Raises InvalidInput if gamma or lambda is outside [0, 1] or a span has another size.
void advantages(const Trajectories& shape, std::span<const float> rewards,
                std::span<const float> values, std::span<const float> next_values, double gamma,
                double lambda, std::span<float> advantages, std::span<float> returns);

// The derivative of the advantages in the task, the fitted V held fixed (Eq. 6):
//   B_t = dr_t/dpsi + gamma lambda (1 - end_t) B_{t+1}
// reward_grads and out: (N, T, K). Raises as `advantages`.
void reward_grad_advantages(const Trajectories& shape, std::size_t task_dim,
                            std::span<const float> reward_grads, double gamma, double lambda,
                            std::span<float> out);

// Weights (N, T) with which a sum over all samples estimates an expectation over episodes,
//   sum_{n,t} w x  ~  E[ sum_t gamma^t x_t ]        (Eqs. 3, 4, 6, 7)
// w = gamma^t / n_t, t the step within the episode, n_t the number of episodes that began early
// enough for their step t to lie in the batch, whether they lived to see it or not. Dividing by the
// number of all episodes instead would count those that the last column cuts as if they had ended.
// Raises as `advantages`.
void episode_weights(const Trajectories& shape, double gamma, std::span<double> out);

}  // namespace admrl

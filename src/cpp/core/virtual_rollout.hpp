// Rollouts of policies in the learned dynamics model: many tasks at once, one model.
#pragma once

#include <cstdint>
#include <span>

#include "core/family.hpp"
#include "core/gaussian_policy.hpp"
#include "core/thread_pool.hpp"
#include "core/virtual_model.hpp"

namespace admrl {

// One task, its policy, and the random numbers of its rollout.
struct VirtualTask {
  const GaussianPolicy* policy;
  const double* psi;   // (K)
  const float* noise;  // (T, N, A) standard normal
  const std::int64_t*
      starts;  // (T + 1, N) rows of the start states, one for each step that may end
};

struct VirtualRolloutRequest {
  std::span<const VirtualTask> tasks;   // (B)
  std::span<const float> start_states;  // (S, D)
  int num_envs;                         // N, of each task
  int num_steps;                        // T
  int horizon;                          // steps after which an episode times out
};

// Row (b N + n) T + t of each array is step t of environment n of task b.
struct VirtualArrays {
  float* obs;       // (., D)
  float* actions;   // (., A) as drawn, not clipped
  float* next_obs;  // (., D) the true next state, also where an episode ends
  float* rewards;
  float* reward_grads;  // (., K)
  float* base_rewards;
  bool* dones;
  bool* timeouts;
  float* log_probs;
};

// Takes T steps in every environment (Algorithm 2, line 5). An episode that ends, by the family's
// rule on the predicted state or at the horizon, is followed by one from a start state.
//
// Raises InvalidInput if the parts do not fit each other or a start is no row of the start states.
// Determinism: the bits depend on the arguments and the instruction set, not on the number of
// threads, and those of a task not on the other tasks.
void virtual_rollout(ThreadPool& pool, const VirtualModel& model, const FamilySpec& family,
                     const VirtualRolloutRequest& request, const VirtualArrays& out);

}  // namespace admrl

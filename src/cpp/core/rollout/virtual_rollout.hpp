// Rollouts of policies in the learned dynamics model: many tasks at once, one model.
#pragma once

#include <cstdint>
#include <span>

#include "core/environment/transitions.hpp"
#include "core/network/policy.hpp"
#include "core/rollout/virtual_model.hpp"
#include "core/threads/thread_pool.hpp"

namespace admrl {

// One task, its policy, and the random numbers of its rollout.
struct VirtualTask {
  const Policy* policy;
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

// Takes T steps in every environment (Algorithm 2, line 5). An episode that ends, by the family's
// rule on the predicted state or at the horizon, is followed by one from a start state. Row
// (b N + n) T + t of each array of `out` is step t of environment n of task b; no step is excluded.
//
// Raises InvalidInput if the parts do not fit each other or a start is no row of the start states.
// Determinism: the bits depend on the arguments and the instruction set, not on the number of
// threads, and those of a task not on the other tasks.
void virtual_rollout(ThreadPool& pool, const VirtualModel& model, const FamilySpec& family,
                     const VirtualRolloutRequest& request, const RolloutArrays& out);

}  // namespace admrl

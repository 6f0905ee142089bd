// Arrays that several bindings read in the same way.
#pragma once

#include "bindings/arrays.hpp"
#include "core/environment/transitions.hpp"

namespace admrl {

// psi as float64 (K,), one for all rows, or (rows, K), one per row.
// Raises InvalidInput for another shape or type, or a value that is not finite.
TaskParams read_psi(pybind11::handle psi, const Dim& rows, int task_dim);

// New arrays for rollouts, shaped (leading..., .); nothing is excluded yet.
struct RolloutOutput {
  RolloutOutput(const std::vector<pybind11::ssize_t>& leading, const FamilySpec& spec);
  RolloutArrays arrays();
  // By name: those of a rollout, and those of a step alone.
  pybind11::dict rollout() const;
  pybind11::dict steps() const;

  NewArray<float> obs, actions, log_probs, next_obs, rewards, reward_grads, base_rewards;
  NewArray<bool> dones, timeouts, excluded;
};

}  // namespace admrl

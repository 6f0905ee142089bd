// Arrays that several bindings read in the same way.
#pragma once

#include "bindings/arrays.hpp"
#include "core/simulation.hpp"

namespace admrl {

// psi as float64 (K,), one for all rows, or (rows, K), one per row.
// Raises InvalidInput for another shape or type, or a value that is not finite.
TaskParams read_psi(pybind11::handle psi, const Dim& rows, int task_dim);

// New arrays for `rows` transitions, shaped (leading..., .).
struct StepOutput {
  StepOutput(const std::vector<pybind11::ssize_t>& leading, const FamilySpec& spec);
  StepArrays arrays();
  pybind11::dict dict() const;

  NewArray<float> next_obs, rewards, reward_grads, base_rewards;
  NewArray<bool> dones, timeouts, excluded;
};

}  // namespace admrl

// Where transitions are written, and the one place that evaluates their rewards and writes them.
#pragma once

#include <cstddef>

#include "core/environment/family.hpp"

namespace admrl {

// Row r of each array. next_obs (., D), reward_grads (., K), the others (.).
struct StepArrays {
  float* next_obs;
  float* rewards;
  float* reward_grads;
  float* base_rewards;
  bool* dones;
  bool* timeouts;
  // The state blew up (blow_up.hpp), or what is written here is not finite in float32: the episode
  // ends, with reward, base and gradient 0. It says nothing about the task: nothing may learn from
  // it. nullptr: nothing is excluded.
  bool* excluded;
};

// The same of rollouts: obs (., D), actions (., A), log_probs (.).
struct RolloutArrays {
  float* obs;        // without the context
  float* actions;    // as drawn, not clipped
  float* log_probs;  // log pi(a | s) of that action
  StepArrays steps;
};

struct Transition {
  const double* next_obs;  // (D)
  const float* action;     // (A)
  const double* psi;       // (K)
  bool sound;              // the state did not blow up
  bool last;               // the episode times out unless it is done
};

// Writes row `row` of `out`. grad (K): scratch. Returns whether the episode ended.
bool record(const FamilySpec& family, const Transition& transition, double* grad,
            const StepArrays& out, std::size_t row) noexcept;

}  // namespace admrl

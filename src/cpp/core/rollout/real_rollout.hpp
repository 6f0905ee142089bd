// Closed-loop rollouts in the real environment: the policy runs inside the simulation threads.
#pragma once

#include <cstdint>
#include <span>

#include "core/environment/simulation.hpp"
#include "core/network/policy.hpp"

namespace admrl {

struct RolloutRequest {
  int num_steps;  // T
  std::uint64_t seed;
  TaskParams psi;
  double ou_theta;     // exploration noise x <- x - theta x + sigma N(0, 1), added to the action;
  double ou_sigma;     // it begins at 0 with every episode
  bool deterministic;  // the action without any noise
  std::span<const std::int32_t> policy_of_env;  // (N); empty: there is one policy only
  std::span<const float> contexts;  // (N, C): the policy of environment i sees [s, contexts_i]
  int context_dim;                  // C
};

// Resets with the seed, then takes T steps in every environment, each under its own of the
// policies. An ended episode is followed by the next one of its environment; next_obs is always the
// true next state, never a reset one.
//
// Row env * T + t of each array of `out` is step t of the environment.
// The random action of step t of an episode depends on (seed, environment, episode, t) alone.
// Raises InvalidInput (a policy or the request does not fit, exploration noise for a policy that
// takes none, an action is not finite), SimulationError as Simulation::step does, and what `poll`
// throws.
void real_rollout(Simulation& simulation, std::span<const Policy* const> policies,
                  const RolloutRequest& request, const RolloutArrays& out, const Poll& poll);

}  // namespace admrl

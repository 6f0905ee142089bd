// Sums along the episodes of a batch: what the Hessian estimators do between two Jacobian products.
//
// Arrays are env-major, (N, T), float64. An episode ends at a done step, at a timeout and at the
// last column; nothing is carried over its end. O(N T).
#pragma once

#include <cstddef>
#include <span>

#include "core/update/advantage.hpp"

namespace admrl {

// Products of different time steps of one episode (science: the estimator `causal`):
//   out_t = w_t (c_t + C_t) + E_t
//   C_t = sum_{u<t} decay^{t-u} c_u        E_t = sum_{u>t} decay^{u-t} w_u c_u
// As an operator on c it is symmetric. decay = 1: all pairs of steps count in full; 0: none.
// Raises InvalidInput if decay is outside [0, 1] or a span has another size.
void cross_step_scan(const Trajectories& shape, std::span<const double> weights,
                     std::span<const double> c, double decay, std::span<double> out);

// Sums over whole episodes (the estimator `trajectory`), the weights being constant along each:
//   out_t = w_t sum_u c_u, u over the episode of t
// Raises as `cross_step_scan`.
void episode_sum_scan(const Trajectories& shape, std::span<const double> weights,
                      std::span<const double> c, std::span<double> out);

// Each column of x (N, T, K) less a baseline that does not depend on the episode itself: the mean
// of the other episodes at the same step of theirs; where no other came so far, the mean of all
// their samples; 0 where there is no other. It leaves every expectation of the form
// E[sum_t grad log pi_t x_t] as it is, episodes of one row counting as independent.
// Raises as `cross_step_scan`.
void centre_by_age(const Trajectories& shape, std::size_t columns, std::span<const float> x,
                   std::span<double> out);

}  // namespace admrl

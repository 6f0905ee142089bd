// The policy of soft actor-critic: a = tanh(x), x = mean(s) + exp(log_std(s)) * eps, both outputs
// of one ReLU network of the normalised state.
// Source: Haarnoja et al. 2018, Appendix C.
#pragma once

#include <span>

#include "core/normalised_mlp.hpp"

namespace admrl {

// Packed for fast evaluation of one sample, float32; what it is made from may change afterwards.
class SquashedGaussianPolicy {
 public:
  // layers: the network, D to 2 A, [mean, log_std] of its input (s - obs_mean) / obs_std; log_std
  // is clamped to [log_std_low, log_std_high]; obs_mean, obs_std (D).
  // Raises InvalidInput if the sizes do not fit, a number is not finite, an obs_std is not
  // positive, or the bounds are not finite or not in order.
  SquashedGaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> obs_mean,
                         std::span<const float> obs_std, float log_std_low, float log_std_high);

  int obs_dim() const noexcept { return net_.in_dim(); }
  int act_dim() const noexcept { return net_.out_dim() / 2; }
  // Floats that `act` needs as scratch.
  int scratch_size() const noexcept { return net_.out_dim() + net_.scratch_size(); }

  // Writes the action (A) for obs (D) and eps (A), nullptr: eps = 0. Returns log pi(action | s), in
  // float64 from eps and x, rounded once. Where x is not finite the action is x.
  float act(const float* obs, const float* eps, float* action, float* scratch) const noexcept;

 private:
  NormalisedMlp net_;
  float log_std_low_;
  float log_std_high_;
};

}  // namespace admrl

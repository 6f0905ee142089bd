// The policy of soft actor-critic: a = tanh(x), x = mean(s) + exp(log_std(s)) * eps, both outputs
// of one ReLU network of the normalised state.
// Source: Haarnoja et al. 2018, Appendix C.
#pragma once

#include <span>

#include "core/network/policy.hpp"

namespace admrl {

class SquashedGaussianPolicy : public Policy {
 public:
  // layers: D to 2 A, [mean, log_std]; log_std is clamped to [log_std_low, log_std_high]. Raises
  // as Policy, and if the bounds are not finite or not in order.
  SquashedGaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> obs_mean,
                         std::span<const float> obs_std, float log_std_low, float log_std_high);

  bool explores() const noexcept override { return false; }
  // log pi is computed from the noise and x. Where x is not finite the action is x.
  float act(const float* obs, ActionNoise noise, float* action,
            float* scratch) const noexcept override;

 private:
  float log_std_low_;
  float log_std_high_;
};

}  // namespace admrl

// The policy pi_theta(a|s): a = mean(s) + exp(log_std) * eps, mean a tanh network of the normalised
// state.
#pragma once

#include <span>
#include <vector>

#include "core/network/policy.hpp"

namespace admrl {

class GaussianPolicy : public Policy {
 public:
  // log_std (A); otherwise as Policy.
  GaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> log_std,
                 std::span<const float> obs_mean, std::span<const float> obs_std);

  bool explores() const noexcept override { return true; }
  float act(const float* obs, ActionNoise noise, float* action,
            float* scratch) const noexcept override;

 private:
  std::vector<float> std_;
  std::vector<double> inverse_std_;
  double log_normaliser_ = 0.0;  // -sum log_std - A/2 log 2 pi
};

}  // namespace admrl

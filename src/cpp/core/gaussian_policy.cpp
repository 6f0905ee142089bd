#include "core/gaussian_policy.hpp"

#include <cmath>
#include <cstddef>
#include <numbers>

namespace admrl {

GaussianPolicy::GaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> log_std,
                               std::span<const float> obs_mean, std::span<const float> obs_std)
    : net_(layers, Activation::tanh, obs_mean, obs_std) {
  require_policy_size(log_std, act_dim(), "A", "log_std");
  require_policy_numbers(log_std, "log_std");
  log_normaliser_ = -0.5 * act_dim() * std::log(2.0 * std::numbers::pi);
  for (const float s : log_std) {
    std_.push_back(std::exp(s));
    inverse_std_.push_back(std::exp(-static_cast<double>(s)));
    log_normaliser_ -= s;
  }
}

float GaussianPolicy::log_prob(const float* action, const float* mean) const noexcept {
  double squared = 0.0;
  for (std::size_t i = 0; i < inverse_std_.size(); ++i) {
    const double z =
        (static_cast<double>(action[i]) - static_cast<double>(mean[i])) * inverse_std_[i];
    squared += z * z;
  }
  return static_cast<float>(log_normaliser_ - 0.5 * squared);
}

}  // namespace admrl

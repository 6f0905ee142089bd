#include "core/network/gaussian_policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace admrl {

GaussianPolicy::GaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> log_std,
                               std::span<const float> obs_mean, std::span<const float> obs_std)
    : Policy(layers, Activation::tanh, 1, obs_mean, obs_std) {
  require_numbers("log_std", "A", log_std, act_dim());
  log_normaliser_ = -0.5 * act_dim() * std::log(2.0 * std::numbers::pi);
  for (const float s : log_std) {
    std_.push_back(std::exp(s));
    inverse_std_.push_back(std::exp(-static_cast<double>(s)));
    log_normaliser_ -= s;
  }
}

float GaussianPolicy::act(const float* obs, ActionNoise noise, float* action,
                          float* scratch) const noexcept {
  const std::size_t n = std_.size();
  const float* mean = forward(obs, scratch);
  std::copy_n(mean, n, action);
  if (noise.normal != nullptr) {
    for (std::size_t i = 0; i < n; ++i) action[i] += std_[i] * noise.normal[i];
  }
  if (noise.exploration != nullptr) {
    for (std::size_t i = 0; i < n; ++i) action[i] += noise.exploration[i];
  }
  double squared = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double z =
        (static_cast<double>(action[i]) - static_cast<double>(mean[i])) * inverse_std_[i];
    squared += z * z;
  }
  return static_cast<float>(log_normaliser_ - 0.5 * squared);
}

}  // namespace admrl

#include "core/network/squashed_policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "core/check.hpp"

namespace admrl {

namespace {

// log(d tanh(x) / dx) = log(1 - tanh(x)^2), without the cancellation where tanh saturates:
// 2 (log 2 - x - softplus(-2 x)), even in x.
double log_slope_of_tanh(double x) noexcept {
  const double size = std::abs(x);
  return 2.0 * (std::numbers::ln2 - size - std::log1p(std::exp(-2.0 * size)));
}

}  // namespace

SquashedGaussianPolicy::SquashedGaussianPolicy(std::span<const MlpLayer> layers,
                                               std::span<const float> obs_mean,
                                               std::span<const float> obs_std, float log_std_low,
                                               float log_std_high)
    : Policy(layers, Activation::relu, 2, obs_mean, obs_std),
      log_std_low_(log_std_low),
      log_std_high_(log_std_high) {
  require(layers.back().out % 2 == 0,
          "policy: layers: expected 2 A outputs, mean and log_std, got ", layers.back().out);
  require(std::isfinite(log_std_low) && std::isfinite(log_std_high) && log_std_low < log_std_high,
          "policy: log_std_low: expected a finite number below a finite log_std_high, got ",
          log_std_low, " and ", log_std_high);
}

float SquashedGaussianPolicy::act(const float* obs, ActionNoise noise, float* action,
                                  float* scratch) const noexcept {
  const auto n = static_cast<std::size_t>(act_dim());
  const float* eps = noise.normal;
  const float* mean = forward(obs, scratch);
  const float* log_std = mean + n;
  double log_prob = -0.5 * static_cast<double>(n) * std::log(2.0 * std::numbers::pi);
  for (std::size_t i = 0; i < n; ++i) {
    const float bounded = std::clamp(log_std[i], log_std_low_, log_std_high_);
    float x = mean[i];
    if (eps != nullptr) {
      x += std::exp(bounded) * eps[i];
      log_prob -= 0.5 * static_cast<double>(eps[i]) * static_cast<double>(eps[i]);
    }
    log_prob -= static_cast<double>(bounded) + log_slope_of_tanh(x);
    action[i] = std::isfinite(x) ? std::tanh(x) : x;  // an overflow is no saturated action
  }
  return static_cast<float>(log_prob);
}

}  // namespace admrl

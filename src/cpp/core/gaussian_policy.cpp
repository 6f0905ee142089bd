#include "core/gaussian_policy.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include "core/error.hpp"

namespace admrl {

namespace {

void require_finite(std::span<const float> values, const std::string& name) {
  const bool finite =
      std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  if (!finite) throw InvalidInput("policy: " + name + ": expected finite values");
}

void require_size(std::span<const float> values, int size, const char* letter, const char* name) {
  if (values.size() == static_cast<std::size_t>(size)) return;
  throw InvalidInput(std::string("policy: ") + name + ": expected (" + letter + "=" +
                     std::to_string(size) + ",) float32, got (" + std::to_string(values.size()) +
                     ",)");
}

}  // namespace

GaussianPolicy::GaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> log_std,
                               std::span<const float> obs_mean, std::span<const float> obs_std)
    : mlp_(layers, Activation::tanh),
      obs_mean_(obs_mean.begin(), obs_mean.end()),
      obs_std_(obs_std.begin(), obs_std.end()) {
  require_size(log_std, act_dim(), "A", "log_std");
  require_size(obs_mean, obs_dim(), "D", "obs_mean");
  require_size(obs_std, obs_dim(), "D", "obs_std");
  for (std::size_t k = 0; k < layers.size(); ++k) {
    const auto in = static_cast<std::size_t>(layers[k].in);
    const auto out = static_cast<std::size_t>(layers[k].out);
    const std::string name = "layer " + std::to_string(k);
    require_finite({layers[k].weight, in * out}, name + " weight");
    require_finite({layers[k].bias, out}, name + " bias");
  }
  require_finite(log_std, "log_std");
  require_finite(obs_mean, "obs_mean");
  require_finite(obs_std, "obs_std");
  if (std::any_of(obs_std.begin(), obs_std.end(), [](float s) { return s <= 0.0F; })) {
    throw InvalidInput("policy: obs_std: expected positive values");
  }
  log_normaliser_ = -0.5 * act_dim() * std::log(2.0 * std::numbers::pi);
  for (const float s : log_std) {
    std_.push_back(std::exp(s));
    inverse_std_.push_back(std::exp(-static_cast<double>(s)));
    log_normaliser_ -= s;
  }
}

void GaussianPolicy::mean(const float* obs, float* mean, float* scratch) const noexcept {
  const auto n = static_cast<std::size_t>(obs_dim());
  for (std::size_t i = 0; i < n; ++i) scratch[i] = (obs[i] - obs_mean_[i]) / obs_std_[i];
  mlp_.forward(scratch, mean, scratch + n);
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

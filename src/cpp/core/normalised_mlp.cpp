#include "core/normalised_mlp.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/error.hpp"

namespace admrl {

NormalisedMlp::NormalisedMlp(std::span<const MlpLayer> layers, Activation hidden,
                             std::span<const float> mean, std::span<const float> std)
    : mlp_(layers, hidden), mean_(mean.begin(), mean.end()), std_(std.begin(), std.end()) {
  require_policy_size(mean, in_dim(), "D", "obs_mean");
  require_policy_size(std, in_dim(), "D", "obs_std");
  for (std::size_t k = 0; k < layers.size(); ++k) {
    const auto in = static_cast<std::size_t>(layers[k].in);
    const auto out = static_cast<std::size_t>(layers[k].out);
    const std::string name = "layer " + std::to_string(k);
    require_policy_numbers({layers[k].weight, in * out}, name + " weight");
    require_policy_numbers({layers[k].bias, out}, name + " bias");
  }
  require_policy_numbers(mean, "obs_mean");
  require_policy_numbers(std, "obs_std");
  if (std::any_of(std.begin(), std.end(), [](float s) { return s <= 0.0F; })) {
    throw InvalidInput("policy: obs_std: expected positive values");
  }
}

void NormalisedMlp::forward(const float* x, float* y, float* scratch) const noexcept {
  const auto n = mean_.size();
  for (std::size_t i = 0; i < n; ++i) scratch[i] = (x[i] - mean_[i]) / std_[i];
  mlp_.forward(scratch, y, scratch + n);
}

void require_policy_numbers(std::span<const float> values, const std::string& name) {
  const bool finite =
      std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  if (!finite) throw NotFinite("policy: " + name + ": expected finite values");
}

void require_policy_size(std::span<const float> values, int size, const char* letter,
                         const char* name) {
  if (values.size() == static_cast<std::size_t>(size)) return;
  throw InvalidInput(std::string("policy: ") + name + ": expected (" + letter + "=" +
                     std::to_string(size) + ",) float32, got (" + std::to_string(values.size()) +
                     ",)");
}

}  // namespace admrl

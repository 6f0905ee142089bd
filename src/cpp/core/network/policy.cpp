#include "core/network/policy.hpp"

#include "core/check.hpp"

namespace admrl {

Policy::Policy(std::span<const MlpLayer> layers, Activation hidden, int outputs_per_action,
               std::span<const float> obs_mean, std::span<const float> obs_std)
    : mlp_(layers, hidden),
      outputs_per_action_(outputs_per_action),
      mean_(obs_mean.begin(), obs_mean.end()),
      std_(obs_std.begin(), obs_std.end()) {
  require_finite_layers("policy: layers", layers);
  require_numbers("obs_mean", "D", obs_mean, obs_dim());
  require_numbers("obs_std", "D", obs_std, obs_dim());
  require_positive("policy: obs_std", obs_std);
}

const float* Policy::forward(const float* obs, float* scratch) const noexcept {
  float* x = scratch + mlp_.out_dim();
  const auto n = mean_.size();
  for (std::size_t i = 0; i < n; ++i) x[i] = (obs[i] - mean_[i]) / std_[i];
  mlp_.forward(x, scratch, x + n);
  return scratch;
}

void Policy::require_numbers(const char* name, const char* letter, std::span<const float> values,
                             int size) {
  const std::string full = joined("policy: ", name);
  require(values.size() == to_size(size), full, ": expected (", letter, "=", size,
          ",) float32, got (", values.size(), ",)");
  require_finite(full, values);
}

}  // namespace admrl

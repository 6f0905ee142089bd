// The policy pi_theta(a|s): a = mean(s) + exp(log_std) * eps, mean a tanh network of the normalised
// state.
#pragma once

#include <span>
#include <vector>

#include "core/normalised_mlp.hpp"

namespace admrl {

// Packed for fast evaluation of one sample, float32; what it is made from may change afterwards.
class GaussianPolicy {
 public:
  // layers: the network, its input (s - obs_mean) / obs_std; log_std (A); obs_mean, obs_std (D).
  // Raises InvalidInput if the sizes do not fit, a number is not finite, or an obs_std is not
  // positive.
  GaussianPolicy(std::span<const MlpLayer> layers, std::span<const float> log_std,
                 std::span<const float> obs_mean, std::span<const float> obs_std);

  int obs_dim() const noexcept { return net_.in_dim(); }
  int act_dim() const noexcept { return net_.out_dim(); }
  // Floats that `mean` needs as scratch.
  int scratch_size() const noexcept { return net_.scratch_size(); }
  std::span<const float> std() const noexcept { return std_; }

  // Writes the mean action (A) for obs (D).
  void mean(const float* obs, float* mean, float* scratch) const noexcept {
    net_.forward(obs, mean, scratch);
  }
  // log pi(action | s), given the mean action of s; in float64, rounded once.
  float log_prob(const float* action, const float* mean) const noexcept;

 private:
  NormalisedMlp net_;
  std::vector<float> std_;
  std::vector<double> inverse_std_;
  double log_normaliser_ = 0.0;  // -sum log_std - A/2 log 2 pi
};

}  // namespace admrl

// The network of a policy: an MLP of its standardised input, packed for one sample per call.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/mlp.hpp"

namespace admrl {

// Float32; what it is made from may change afterwards.
class NormalisedMlp {
 public:
  // layers: the network of (x - mean) / std; mean, std (in_dim).
  // Raises InvalidInput, which speaks of a policy and its observations, if the sizes do not fit, a
  // number is not finite, or an entry of std is not positive.
  NormalisedMlp(std::span<const MlpLayer> layers, Activation hidden, std::span<const float> mean,
                std::span<const float> std);

  int in_dim() const noexcept { return mlp_.in_dim(); }
  int out_dim() const noexcept { return mlp_.out_dim(); }
  // Floats that `forward` needs as scratch.
  int scratch_size() const noexcept { return mlp_.in_dim() + mlp_.scratch_size(); }

  // y (out_dim) for x (in_dim). Thread-safe with one scratch per thread; nothing may overlap.
  void forward(const float* x, float* y, float* scratch) const noexcept;

 private:
  PackedMlp mlp_;
  std::vector<float> mean_;
  std::vector<float> std_;
};

// What the constructors of policies check. Raise InvalidInput.
void require_policy_numbers(std::span<const float> values, const std::string& name);
void require_policy_size(std::span<const float> values, int size, const char* letter,
                         const char* name);

}  // namespace admrl

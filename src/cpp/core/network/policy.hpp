// What the policies pi(a|s) have in common: a network of the standardised observation, packed for
// one sample per call, and an action that noise moves.
#pragma once

#include <span>
#include <vector>

#include "core/network/mlp.hpp"

namespace admrl {

// What moves an action (A); nullptr: nothing.
struct ActionNoise {
  const float* normal;       // standard normal: of the policy itself
  const float* exploration;  // added to the action
};

// Float32; what it is made from may change afterwards.
class Policy {
 public:
  virtual ~Policy() = default;

  int obs_dim() const noexcept { return mlp_.in_dim(); }
  int act_dim() const noexcept { return mlp_.out_dim() / outputs_per_action_; }
  // Floats that `act` needs as scratch.
  int scratch_size() const noexcept { return mlp_.out_dim() + mlp_.in_dim() + mlp_.scratch_size(); }
  // Whether it takes exploration noise.
  virtual bool explores() const noexcept = 0;

  // Writes the action (A) for obs (D). Returns log pi(action | s), in float64, rounded once.
  // Thread-safe with one scratch per thread; nothing may overlap.
  virtual float act(const float* obs, ActionNoise noise, float* action,
                    float* scratch) const noexcept = 0;

 protected:
  // layers: the network of (s - obs_mean) / obs_std; obs_mean, obs_std (D).
  // Raises InvalidInput if the sizes do not fit, a number is not finite, or an obs_std is not
  // positive.
  Policy(std::span<const MlpLayer> layers, Activation hidden, int outputs_per_action,
         std::span<const float> obs_mean, std::span<const float> obs_std);
  Policy(const Policy&) = default;
  Policy(Policy&&) = default;

  // The network's outputs for obs (D), at the beginning of the scratch.
  const float* forward(const float* obs, float* scratch) const noexcept;
  // Raises InvalidInput unless there are `size` numbers, all of them finite.
  static void require_numbers(const char* name, const char* letter, std::span<const float> values,
                              int size);

 private:
  PackedMlp mlp_;
  int outputs_per_action_;
  std::vector<float> mean_, std_;
};

}  // namespace admrl

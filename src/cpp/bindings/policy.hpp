// Policies as Python passes them.
#pragma once

#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/arrays.hpp"
#include "core/gaussian_policy.hpp"
#include "core/squashed_policy.hpp"

namespace admrl {

// (weight, bias) of each layer, as Python objects.
using LayerObjects = std::vector<std::pair<pybind11::object, pybind11::object>>;

// These keep references to the arrays, which are read at the start of every rollout: weights that
// are changed in place need no new object.
class PolicyArrays {
 public:
  PolicyArrays(LayerObjects layers, pybind11::object log_std, pybind11::object obs_mean,
               pybind11::object obs_std);

  // The policy as the arrays are now. Raises InvalidInput for shapes that do not fit.
  GaussianPolicy pack() const;

 private:
  LayerObjects layers_;
  pybind11::object log_std_;
  pybind11::object obs_mean_;
  pybind11::object obs_std_;
};

class SquashedPolicyArrays {
 public:
  SquashedPolicyArrays(LayerObjects layers, pybind11::object obs_mean, pybind11::object obs_std,
                       double log_std_low, double log_std_high);

  // As above.
  SquashedGaussianPolicy pack() const;

 private:
  LayerObjects layers_;
  pybind11::object obs_mean_;
  pybind11::object obs_std_;
  float log_std_low_;
  float log_std_high_;
};

// Policies of one kind, packed.
using PackedPolicies =
    std::variant<std::vector<GaussianPolicy>, std::vector<SquashedGaussianPolicy>>;

// Raises InvalidInput for an empty sequence, several kinds, or what is no policy.
PackedPolicies pack_policies(const pybind11::sequence& policies);

}  // namespace admrl

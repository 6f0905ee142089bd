// Policies as Python passes them.
#pragma once

#include <memory>
#include <vector>

#include "bindings/layers.hpp"
#include "core/network/policy.hpp"

namespace admrl {

// References to the arrays of a policy, which are read at the start of every rollout: weights that
// are changed in place need no new object.
class AnyPolicyArrays {
 public:
  virtual ~AnyPolicyArrays() = default;
  // The policy as the arrays are now. Raises InvalidInput for shapes that do not fit.
  virtual std::unique_ptr<const Policy> pack() const = 0;
};

using PackedPolicies = std::vector<std::unique_ptr<const Policy>>;

// Raises InvalidInput for an empty sequence, several kinds, or what is no policy.
PackedPolicies pack_policies(const pybind11::sequence& policies);
std::vector<const Policy*> pointers_to(const PackedPolicies& policies);

}  // namespace admrl

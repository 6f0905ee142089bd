// A Gaussian policy as Python passes it.
#pragma once

#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "core/gaussian_policy.hpp"

namespace admrl {

// Keeps references to the arrays, which are read at the start of every rollout: weights that are
// changed in place need no new object.
class PolicyArrays {
 public:
  PolicyArrays(std::vector<std::pair<pybind11::object, pybind11::object>> layers,
               pybind11::object log_std, pybind11::object obs_mean, pybind11::object obs_std);

  // The policy as the arrays are now. Raises InvalidInput for shapes that do not fit.
  GaussianPolicy pack() const;

 private:
  std::vector<std::pair<pybind11::object, pybind11::object>> layers_;
  pybind11::object log_std_;
  pybind11::object obs_mean_;
  pybind11::object obs_std_;
};

}  // namespace admrl

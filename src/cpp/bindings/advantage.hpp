// The flags of a batch of trajectories, as views of numpy arrays.
#pragma once

#include <pybind11/pybind11.h>

#include "core/update/advantage.hpp"

namespace admrl {

// Views `dones` and `timeouts`, (N, T) bool. Raises InvalidInput for another shape or type.
Trajectories trajectories(pybind11::handle dones, pybind11::handle timeouts, pybind11::ssize_t n,
                          pybind11::ssize_t t);

}  // namespace admrl

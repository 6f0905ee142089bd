#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "core/environment/simulation.hpp"

namespace admrl {

// A seed from a Python integer. Raises InvalidInput outside [0, 2^64).
std::uint64_t read_seed(const pybind11::int_& seed);

// Lets Python handle signals (Ctrl-C) during a call that has released the GIL.
Poll poll_signals();

using SimulationClass = pybind11::classh<Simulation>;
// Adds Simulation.rollout to the class (bindings/real_rollout.cpp).
void bind_rollout_method(SimulationClass& simulation);

}  // namespace admrl

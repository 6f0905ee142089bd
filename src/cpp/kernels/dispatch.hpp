// Which kernels this process uses.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace admrl {

// The kernels of the highest instruction set that this CPU has, or of the one that the environment
// variable ADMRL_ISA names. Decided at the first call.
// Raises InvalidInput if ADMRL_ISA names none that was built, or one that the CPU lacks.
const Kernels& kernels();

// Every instruction set that was built and that this CPU has, lowest first.
std::vector<const Kernels*> available_kernels();

}  // namespace admrl

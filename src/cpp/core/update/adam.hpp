// The constants of Adam.
#pragma once

#include <cstdint>

#include "kernels/kernels.hpp"

namespace admrl {

struct AdamSettings {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// Raises InvalidInput for a setting out of range.
void check_adam(const AdamSettings& settings);

// The constants of the step number `step`, counted from 1.
AdamStep adam_step(const AdamSettings& settings, std::int64_t step);

}  // namespace admrl

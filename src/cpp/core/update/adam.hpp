// The constants of Adam.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/check.hpp"
#include "kernels/kernels.hpp"

namespace admrl {

struct AdamSettings {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// Raises InvalidInput for a setting out of range.
inline void check_adam(const AdamSettings& a) {
  require_not_negative("learning_rate", a.learning_rate);
  require(a.beta1 >= 0.0 && a.beta1 < 1.0, "beta1: expected a number in [0, 1), got ", a.beta1);
  require(a.beta2 >= 0.0 && a.beta2 < 1.0, "beta2: expected a number in [0, 1), got ", a.beta2);
  require_not_negative("eps", a.epsilon);
}

// The constants of the step number `step`, counted from 1.
inline AdamStep adam_step(const AdamSettings& a, std::int64_t step) {
  const auto t = static_cast<double>(step);
  return {static_cast<float>(a.beta1), static_cast<float>(a.beta2),
          static_cast<float>(a.learning_rate / (1.0 - std::pow(a.beta1, t))),
          static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(a.beta2, t))),
          static_cast<float>(a.epsilon)};
}

}  // namespace admrl

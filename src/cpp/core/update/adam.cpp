#include "core/update/adam.hpp"

#include <cmath>

#include "core/check.hpp"

namespace admrl {

void check_adam(const AdamSettings& a) {
  require_not_negative("learning_rate", a.learning_rate);
  require(a.beta1 >= 0.0 && a.beta1 < 1.0, "beta1: expected a number in [0, 1), got ", a.beta1);
  require(a.beta2 >= 0.0 && a.beta2 < 1.0, "beta2: expected a number in [0, 1), got ", a.beta2);
  require_not_negative("eps", a.epsilon);
}

AdamStep adam_step(const AdamSettings& a, std::int64_t step) {
  const auto t = static_cast<double>(step);
  return {static_cast<float>(a.beta1), static_cast<float>(a.beta2),
          static_cast<float>(a.learning_rate / (1.0 - std::pow(a.beta1, t))),
          static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(a.beta2, t))),
          static_cast<float>(a.epsilon)};
}

}  // namespace admrl

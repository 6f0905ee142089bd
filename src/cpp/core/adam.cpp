#include "core/adam.hpp"

#include <cmath>
#include <string>

#include "core/error.hpp"

namespace admrl {
namespace {

void require(bool ok, const char* expected, double got) {
  if (!ok) throw InvalidInput(std::string(expected) + ", got " + std::to_string(got));
}

}  // namespace

void check_adam(const AdamSettings& a) {
  require(std::isfinite(a.learning_rate) && a.learning_rate >= 0.0,
          "learning_rate: expected a finite number >= 0", a.learning_rate);
  require(a.beta1 >= 0.0 && a.beta1 < 1.0, "beta1: expected a number in [0, 1)", a.beta1);
  require(a.beta2 >= 0.0 && a.beta2 < 1.0, "beta2: expected a number in [0, 1)", a.beta2);
  require(std::isfinite(a.epsilon) && a.epsilon >= 0.0, "eps: expected a finite number >= 0",
          a.epsilon);
}

AdamStep adam_step(const AdamSettings& a, std::int64_t step) {
  const auto t = static_cast<double>(step);
  return {static_cast<float>(a.beta1), static_cast<float>(a.beta2),
          static_cast<float>(a.learning_rate / (1.0 - std::pow(a.beta1, t))),
          static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(a.beta2, t))),
          static_cast<float>(a.epsilon)};
}

}  // namespace admrl

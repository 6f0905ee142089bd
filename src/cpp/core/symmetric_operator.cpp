#include "core/symmetric_operator.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "core/error.hpp"

namespace admrl {

void check_right_hand_side(std::span<const double> b) {
  if (b.empty()) throw InvalidInput("b: expected at least one element");
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (!std::isfinite(b[i])) {
      throw InvalidInput("b: expected finite values, got " + std::to_string(b[i]) + " at index " +
                         std::to_string(i));
    }
  }
}

void check_damping(double damping) {
  if (!(damping >= 0.0) || !std::isfinite(damping)) {
    throw InvalidInput("damping: expected a finite number >= 0, got " + std::to_string(damping));
  }
}

void check_limits(int max_iterations, double tolerance) {
  if (!(tolerance >= 0.0) || !std::isfinite(tolerance)) {
    throw InvalidInput("tolerance: expected a finite number >= 0, got " +
                       std::to_string(tolerance));
  }
  if (max_iterations < 1) {
    throw InvalidInput("max_iterations: expected at least 1, got " +
                       std::to_string(max_iterations));
  }
}

void check_finite(double value) {
  if (!std::isfinite(value)) {
    throw SolverError("solver: the recurrence overflowed; scale the operator down");
  }
}

Vector scaled(std::span<const double> b, double& scale) {
  scale = 0.0;
  for (const double e : b) scale = std::max(scale, std::abs(e));
  Vector unit(b.begin(), b.end());
  if (scale != 0.0) {
    for (double& e : unit) e /= scale;
  }
  return unit;
}

void CountedOperator::operator()(const Vector& x, Vector& out) {
  ++calls_;
  product_(x, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!std::isfinite(out[i])) {
      throw SolverError("hvp: product " + std::to_string(calls_) + " has " +
                        std::to_string(out[i]) + " at index " + std::to_string(i) +
                        ", expected finite values");
    }
  }
}

Residuals TikhonovResiduals::operator()(const Vector& x, double damping) {
  Vector r = b, product(b.size());
  h(x, product);
  add(-1.0, product, r);
  h(r, product);
  add(-damping, x, product);
  return {norm(r) / norm_b, norm(product) / norm_hb};
}

}  // namespace admrl

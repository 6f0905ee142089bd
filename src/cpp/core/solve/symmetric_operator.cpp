#include "core/solve/symmetric_operator.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "core/check.hpp"

namespace admrl {

void check_right_hand_side(std::span<const double> b) {
  require(!b.empty(), "b: expected at least one element");
  for (std::size_t i = 0; i < b.size(); ++i) {
    require(std::isfinite(b[i]), "b: expected finite values, got ", b[i], " at index ", i);
  }
}

void check_limits(int max_iterations, double tolerance) {
  require_not_negative("tolerance", tolerance);
  require_at_least_one("max_iterations", max_iterations);
}

void check_finite(double value) {
  require<SolverError>(std::isfinite(value),
                       "solver: the recurrence overflowed; scale the operator down");
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
    require<SolverError>(std::isfinite(out[i]), "hvp: product ", calls_, " has ", out[i],
                         " at index ", i, ", expected finite values");
  }
}

Residuals TikhonovResiduals::operator()(const Vector& x, double damping) {
  Vector r = b, image(b.size()), product(b.size());
  h(x, image);
  add(-1.0, image, r);
  h(r, product);
  add(-damping, x, product);
  return {norm(r) / norm_b, norm(product) / norm_hb, std::move(image)};
}

}  // namespace admrl

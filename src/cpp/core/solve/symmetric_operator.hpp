// What every solver of H x = b with a symmetric H known by its products has in common.
#pragma once

#include <functional>
#include <span>

#include "core/solve/vectors.hpp"

namespace admrl {

enum class StopReason {
  converged,             // the recomputed residual of the regularised system is within tolerance
  max_iterations,        // the iterations allowed were used up
  stagnated,             // rounding errors or an exhausted Krylov space: no further progress
  indefinite,            // cg met a direction of the other sign: H + s sqrt(mu) I is not definite
  zero_right_hand_side,  // b = 0, so x = 0
};

// out = H x. x and out do not overlap. May throw: the exception leaves the solver unchanged.
using SymmetricOperator = std::function<void(std::span<const double> x, std::span<double> out)>;

// Raises InvalidInput unless b is finite and not empty, and the settings are in range.
void check_right_hand_side(std::span<const double> b);
void check_limits(int max_iterations, double tolerance);

// Raises SolverError if a number of a recurrence is not finite.
void check_finite(double value);

// b / scale, with scale = max |b_i|: the squares of a very small or large b would leave the range
// of a double. scale = 0: b = 0.
Vector scaled(std::span<const double> b, double& scale);

// H as a function that counts its calls and refuses non-finite values.
class CountedOperator {
 public:
  explicit CountedOperator(const SymmetricOperator& product) : product_(product) {}

  void operator()(const Vector& x, Vector& out);
  int calls() const { return calls_; }

 private:
  const SymmetricOperator& product_;
  int calls_ = 0;
};

// What an iterate really achieves, computed from the operator and not from a recurrence.
struct Residuals {
  double plain;        // |b - H x| / |b|
  double regularised;  // relative residual of the regularised system
  Vector image;        // H x
};

// Residuals of the Tikhonov problem; the regularised one is |H b - (H H + mu I) x| / |H b|. Two
// products each.
struct TikhonovResiduals {
  CountedOperator& h;
  const Vector& b;
  double norm_b;
  double norm_hb = 0.0;  // |H b|, known after the first product of a solve

  Residuals operator()(const Vector& x, double damping);
};

}  // namespace admrl

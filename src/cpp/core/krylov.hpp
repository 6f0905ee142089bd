// Matrix-free solvers for H x = b with a symmetric, possibly indefinite or singular H.
//
// `damping` mu >= 0 regularises. `cgnr` and `minres` compute the same Tikhonov solution,
//
//     x = argmin |H x - b|^2 + mu |x|^2,   that is   (H H + mu I) x = H b,
//
// cgnr by conjugate gradients in the space of (H H)^j H b, two products of H an iteration; minres
// from the Lanczos process on (H, b), one product an iteration and no squared condition number. For
// mu = 0 both give a least-squares solution: the one of least norm (the pseudo-inverse's), except
// for minres where H is singular and b outside its range; there its accuracy ends near 1e-8, too.
// `cg` solves a shifted system, for a definite H:
//
//     (H + s mu I) x = b,   s = the sign of b'Hb (positive definite H: +1, negative: -1).
//
// In all three, `tolerance` bounds the relative residual of the regularised system:
// |H b - (H H + mu I) x| / |H b| for cgnr and minres, |b - (H + s mu I) x| / |b| for cg.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace admrl {

enum class KrylovMethod { cgnr, minres, cg };

enum class StopReason {
  converged,             // the recomputed residual of the regularised system is within tolerance
  max_iterations,        // the iterations allowed were used up
  stagnated,             // rounding errors or an exhausted Krylov space: no further progress
  indefinite,            // cg met a direction of the other sign: H + s mu I is not definite
  zero_right_hand_side,  // b = 0, so x = 0
};

struct KrylovSettings {
  KrylovMethod method = KrylovMethod::minres;
  double damping = 0.1;
  int max_iterations = 200;
  double tolerance = 1e-6;
};

struct KrylovResult {
  std::vector<double> solution;       // the iterate with the smallest regularised residual
  double residual = 0.0;              // |b - H x| / |b|, recomputed from `solution`
  double regularised_residual = 0.0;  // see `tolerance`, recomputed from `solution`
  int iterations = 0;
  int products = 0;  // calls of the operator, the checks of the residual included
  StopReason reason = StopReason::converged;
  // The recurrence's relative residual of the regularised system after 0, 1, ... iterations.
  std::vector<double> history;
};

// out = H x. x and out do not overlap. May throw: the exception leaves `solve_symmetric` unchanged.
using SymmetricOperator = std::function<void(std::span<const double> x, std::span<double> out)>;

// Raises InvalidInput for bad settings or a non-finite b, and SolverError if the operator gives a
// non-finite value or the recurrences overflow.
KrylovResult solve_symmetric(const SymmetricOperator& product, std::span<const double> b,
                             const KrylovSettings& settings);

}  // namespace admrl

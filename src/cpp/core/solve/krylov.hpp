// Solvers for H x = b with a symmetric, possibly indefinite or singular H known by its products.
//
// `damping` mu >= 0, in units of H^2, regularises: what eigenvalues with |lambda| well below
// sqrt(mu) would contribute is suppressed. `cgnr`, `minres` and `dense` compute the same Tikhonov
// solution,
//
//     x = argmin |H x - b|^2 + mu |x|^2,   that is   (H H + mu I) x = H b;
//
// cgnr by conjugate gradients in the space of (H H)^j H b, two products of H an iteration; minres
// from the Lanczos process on (H, b) (core/solve/lanczos.hpp), one product an iteration and no
// squared condition number, but 8 P bytes an iteration for its basis; dense from the
// eigendecomposition of H, which P products form (core/solve/dense.hpp). For mu = 0 they give a
// least-squares solution: the one of least norm (the pseudo-inverse's), except for minres where H
// is singular and b outside its range. `cg` solves a shifted system, for a definite H:
//
//     (H + s sqrt(mu) I) x = b,   s = the sign of b'Hb (positive definite H: +1, negative: -1).
//
// `tolerance` bounds the relative residual of the regularised system: |H b - (H H + mu I) x| /
// |H b|, and for cg |b - (H + s sqrt(mu) I) x| / |b|. `automatic` is dense where the P products
// are not more than the iterations allowed, otherwise minres.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/solve/symmetric_operator.hpp"

namespace admrl {

enum class KrylovMethod { cgnr, minres, cg, dense, automatic };

struct KrylovSettings {
  KrylovMethod method = KrylovMethod::minres;
  double damping = 0.1;
  int max_iterations = 200;
  double tolerance = 1e-6;
  double rounding = std::numeric_limits<double>::epsilon();  // of the products; dense alone asks
};

struct KrylovResult {
  // The iterate with the smallest regularised residual; minres: the last, where only rounding tells
  // its residual from the smallest; cg: the last, which has the smallest error in the energy norm.
  std::vector<double> solution;
  std::vector<double> image;          // H x
  double curvature = 0.0;             // x' H x
  double residual = 0.0;              // |b - H x| / |b|, recomputed from `solution`
  double regularised_residual = 0.0;  // see `tolerance`, recomputed from `solution`
  int iterations = 0;                 // dense: 0
  int products = 0;                   // calls of the operator, the checks of the residual included
  StopReason reason = StopReason::converged;
  // The recurrence's relative residual of the regularised system after 0, 1, ... iterations; dense,
  // and the last of minres where no recurrence gives it: the recomputed one.
  std::vector<double> history;
  // minres: the Ritz values of H, ascending; dense: its eigenvalues; cgnr, cg: none.
  std::vector<double> ritz_values;
  KrylovMethod method = KrylovMethod::minres;  // the one that ran
  std::string why;                             // what made `automatic` choose it, or "asked for"
};

// Raises InvalidInput for bad settings or a non-finite b, and SolverError if the operator gives a
// non-finite value, the recurrences overflow, or (dense) H is not symmetric.
KrylovResult solve_symmetric(const SymmetricOperator& product, std::span<const double> b,
                             const KrylovSettings& settings);

}  // namespace admrl

// One Lanczos process on (H, b) for a whole path of regularisers and for the spectrum of H.
//
// After k products, H V_k = V_{k+1} T with an orthonormal basis V of the Krylov space of (H, b) and
// T tridiagonal. The space does not depend on the regulariser mu: for every mu of the path
//
//     x_mu = argmin |H x - b|^2 + mu |x|^2   over the space of V_k
//
// follows from T alone, in O(1) a step (core/solve/tikhonov_qr.hpp), and one combination of the
// basis at the end. The eigenvalues of T's upper k rows are the Ritz values of H: those of H at the
// ends of its spectrum and far from the others come first.
//
// The basis is stored and every new vector orthogonalised against all of it, twice, so that no
// eigenvalue comes more than once and the space is exhausted after at most P steps. Cost: k
// products, 2 more for each mu, 4 k^2 P operations, 8 k P bytes.
#pragma once

#include <span>
#include <vector>

#include "core/solve/symmetric_operator.hpp"

namespace admrl {

struct LanczosSettings {
  int max_iterations = 200;
  double tolerance = 1e-6;  // of |H b - (H H + mu I) x| / |H b|, for every mu
  // For a mu that does not meet it: the iterate with the smallest such residual, if that is smaller
  // by more than rounding and for 2 more products, instead of the last, which minimises over the
  // whole space.
  bool smallest_residual = false;
};

// What was found for one mu.
struct LanczosSolution {
  std::vector<double> x;
  double residual = 0.0;              // |b - H x| / |b|, recomputed from x
  double regularised_residual = 0.0;  // see `tolerance`, recomputed from x
  std::vector<double> image;          // H x
  StopReason reason = StopReason::converged;
  // The regularised residual after 0, 1, ... steps as T gives it, as far as this mu went; that of
  // the last iterate, if the process ended before T did, the recomputed one.
  std::vector<double> history;
};

struct LanczosResult {
  std::vector<LanczosSolution> solutions;  // in the order of the path
  std::vector<double> ritz_values;         // ascending, one an iteration
  int iterations = 0;                      // steps of the Lanczos process
  int products = 0;                        // calls of the operator, the checks included
};

// Stops when every mu has met the tolerance, or is as near to it as rounding allows and would gain
// nothing in |H x - b|^2 + mu |x|^2 either, the space is exhausted, or max_iterations are used up.
// Each mu keeps the first iterate within tolerance: its solution does not depend on the rest of the
// path. An empty path asks for Ritz values alone.
//
// mu = 0 on a singular H whose range does not contain b: a least-squares solution, but not the one
// of least norm.
//
// Raises InvalidInput for bad settings, path or b, and SolverError if the operator gives a
// non-finite value or the recurrence overflows.
LanczosResult lanczos(const SymmetricOperator& product, std::span<const double> b,
                      std::span<const double> dampings, const LanczosSettings& settings);

}  // namespace admrl

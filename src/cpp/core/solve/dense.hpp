// The Tikhonov solution from the eigendecomposition of H: exact, the standard for the iterative
// solvers.
#pragma once

#include <cstddef>

#include "core/solve/symmetric_operator.hpp"

namespace admrl {

// The largest P: H takes 200 MB, its eigenvectors as much, the decomposition minutes.
inline constexpr std::size_t kLargestDense = 5000;

// argmin |H x - b|^2 + mu |x|^2. P products form H. mu = 0: the pseudo-inverse's solution, for
// which eigenvalues of at most P * rounding * max |lambda| count as 0. `rounding` is the relative
// spacing of the type in which the products are computed.
//
// Raises SolverError where H differs from its transpose by more than sqrt(rounding) of its largest
// element: a rounding error stays far below that, a wrong product does not.
struct DenseSolution {
  Vector x;
  Vector eigenvalues;  // ascending
};
DenseSolution dense_tikhonov(CountedOperator& h, const Vector& b, double damping, double rounding);

}  // namespace admrl

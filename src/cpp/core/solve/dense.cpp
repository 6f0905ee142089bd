#include "core/solve/dense.hpp"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>

#include "core/check.hpp"

namespace admrl {
namespace {

// H, column by column.
Eigen::MatrixXd matrix_of(CountedOperator& h, std::size_t size) {
  const auto p = static_cast<Eigen::Index>(size);
  Eigen::MatrixXd matrix(p, p);
  Vector unit(size, 0.0), column(size);
  for (Eigen::Index j = 0; j < p; ++j) {
    const auto at = static_cast<std::size_t>(j);
    unit[at] = 1.0;
    h(unit, column);
    unit[at] = 0.0;
    matrix.col(j) = map(column);
  }
  return matrix;
}

void check_symmetric(const Eigen::MatrixXd& h, double rounding) {
  const double allowed = std::sqrt(rounding) * h.cwiseAbs().maxCoeff();
  for (Eigen::Index j = 0; j < h.cols(); ++j) {
    for (Eigen::Index i = 0; i < j; ++i) {
      if (std::abs(h(i, j) - h(j, i)) <= allowed) continue;
      std::ostringstream text;
      text.precision(17);
      text << "hvp: expected a symmetric H, got H(" << i << ", " << j << ") = " << h(i, j)
           << " and H(" << j << ", " << i << ") = " << h(j, i);
      text.precision(2);
      text << ", which differ by more than " << allowed
           << " (rounding of the type of b: if hvp computes in float32, give b in float32)";
      throw SolverError(text.str());
    }
  }
}

}  // namespace

DenseSolution dense_tikhonov(CountedOperator& h, const Vector& b, double damping, double rounding) {
  Eigen::MatrixXd matrix = matrix_of(h, b.size());
  check_symmetric(matrix, rounding);
  // The solver reads the lower triangle: the mean of both. Halves first: a sum may overflow.
  for (Eigen::Index j = 0; j < matrix.cols(); ++j) {
    for (Eigen::Index i = j + 1; i < matrix.rows(); ++i) {
      matrix(i, j) = 0.5 * matrix(i, j) + 0.5 * matrix(j, i);
    }
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(matrix);
  if (eigen.info() != Eigen::Success) {
    throw SolverError("dense: the eigendecomposition did not converge");
  }
  const Eigen::VectorXd& lambda = eigen.eigenvalues();
  const double cutoff =
      damping > 0.0 ? 0.0 : static_cast<double>(b.size()) * rounding * lambda.cwiseAbs().maxCoeff();
  // lambda / (lambda^2 + mu), whose square could leave the range of a double.
  const auto filter = [&](double l) {
    return std::abs(l) <= cutoff ? 0.0 : 1.0 / (l + damping / l);
  };
  Vector x(b.size());
  map(x) = eigen.eigenvectors() *
           lambda.unaryExpr(filter).cwiseProduct(eigen.eigenvectors().transpose() * map(b));
  return {std::move(x), {lambda.begin(), lambda.end()}};
}

}  // namespace admrl

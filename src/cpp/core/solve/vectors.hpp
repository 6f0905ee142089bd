// The few operations on vectors that the solvers are made of.
//
// Deterministic: sums run in order, one by one, so that the bits do not depend on how wide the
// processor's registers are.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <numeric>
#include <vector>

namespace admrl {

using Vector = std::vector<double>;

inline auto map(const Vector& x) {
  return Eigen::Map<const Eigen::VectorXd>(x.data(), static_cast<Eigen::Index>(x.size()));
}
inline auto map(Vector& x) {
  return Eigen::Map<Eigen::VectorXd>(x.data(), static_cast<Eigen::Index>(x.size()));
}

inline double dot(const Vector& x, const Vector& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

inline double norm(const Vector& x) { return std::sqrt(dot(x, x)); }

// y += a x
inline void add(double a, const Vector& x, Vector& y) { map(y) += a * map(x); }

// y = x + a y
inline void scale_add(const Vector& x, double a, Vector& y) { map(y) = map(x) + a * map(y); }

}  // namespace admrl

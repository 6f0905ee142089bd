#include "core/solve/lanczos.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "core/check.hpp"
#include "core/solve/tikhonov_qr.hpp"

namespace admrl {
namespace {

using Basis = std::vector<Vector>;

// Below this, relative to |H|, a number of the process is zero but for rounding.
constexpr double kRounding = 10.0 * std::numeric_limits<double>::epsilon();

constexpr std::size_t kTogether = 8;  // independent sums that keep a processor busy

// w -= V (V' w). Returns the last component of V' w. Each dot product is in order
// (core/solve/vectors.hpp), several of them at a time.
double project_out(const Basis& basis, Vector& w, Vector& coefficients) {
  const std::size_t k = basis.size(), size = w.size();
  coefficients.resize(k);
  std::size_t j = 0;
  for (; j + kTogether <= k; j += kTogether) {
    std::array<const double*, kTogether> v{};
    std::array<double, kTogether> sum{};
    for (std::size_t l = 0; l < kTogether; ++l) v[l] = basis[j + l].data();
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t l = 0; l < kTogether; ++l) sum[l] += v[l][i] * w[i];
    }
    std::copy(sum.begin(), sum.end(), coefficients.begin() + static_cast<std::ptrdiff_t>(j));
  }
  for (; j < k; ++j) coefficients[j] = dot(basis[j], w);
  for (j = 0; j < k; ++j) add(-coefficients[j], basis[j], w);
  return coefficients.back();
}

// The Tikhonov solution for one mu, as coefficients of the basis. It ends with the first iterate
// within tolerance, so that it does not depend on the rest of the path.
class PathPoint {
 public:
  PathPoint(double damping, double norm_b, std::size_t size)
      : qr_(damping, norm_b),
        root_mu_(std::sqrt(damping)),
        norm_b_(norm_b),
        zero_(static_cast<double>(size) * std::numeric_limits<double>::epsilon()) {}

  // Takes column k of T. Judges the iterate before it by the relative residual that T gives, and
  // goes on unless it is within tolerance, or as good as rounding allows.
  void advance(double beta, double alpha, double beta_next, double norm_h, double norm_hb,
               double tolerance) {
    if (ended_) return;
    const double residual = qr_.enter(beta, alpha, beta_next);
    check_finite(residual);
    history_.push_back(residual / norm_hb);
    ended_ = history_.back() <= tolerance;
    if (ended_) return;
    const TikhonovQr::Column column = qr_.eliminate();
    columns_.push_back(column);
    unregularised_ = root_mu_ <= zero_ * norm_h;
    if (unregularised_) return;  // what the columns to come bring, the end will tell
    // The next iterate, of length |tau / gamma| at least, would have a residual of more than this
    // from rounding alone.
    const double rounding =
        std::numeric_limits<double>::epsilon() * norm_h * norm_h * std::abs(column.tau);
    const bool lost = rounding > residual * column.gamma;
    ended_ = column.gamma <= kRounding * norm_h || (lost && !gains(norm_h));
    if (ended_) columns_.pop_back();
  }

  bool ended() const { return ended_; }
  std::size_t last() const { return columns_.size(); }
  const Vector& history() const { return history_; }

  // Whether y is so long that the rounding of H V y is no longer small beside b. It can be where
  // the damping is below the rounding of H, and R singular but for that.
  bool too_long(const Vector& y, double norm_h) const {
    return unregularised_ && !(zero_ * norm_h * norm(y) < 1e-6 * norm_b_);
  }
  bool unregularised() const { return unregularised_; }

  // Iterate `steps`: y of the leading R y = t.
  Vector coefficients(std::size_t steps) const {
    Vector y(steps);
    for (std::size_t k = steps; k-- > 0;) {
      double rest = columns_[k].tau;
      if (k + 1 < steps) rest -= columns_[k + 1].delta * y[k + 1];
      if (k + 2 < steps) rest -= columns_[k + 2].epsilon * y[k + 2];
      y[k] = rest / columns_[k].gamma;
    }
    return y;
  }

  // The same where R may be singular: y of least norm, pivots below P epsilon |R| counting as 0.
  Vector least_norm_coefficients(std::size_t steps) const {
    if (steps == 0) return {};
    const auto n = static_cast<Eigen::Index>(steps);
    Eigen::MatrixXd r = Eigen::MatrixXd::Zero(n, n);
    Eigen::VectorXd t(n);
    for (Eigen::Index k = 0; k < n; ++k) {
      const TikhonovQr::Column& column = columns_[static_cast<std::size_t>(k)];
      r(k, k) = column.gamma;
      if (k >= 1) r(k - 1, k) = column.delta;
      if (k >= 2) r(k - 2, k) = column.epsilon;
      t(k) = column.tau;
    }
    Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> factors(n, n);
    factors.setThreshold(zero_);
    factors.compute(r);
    const Eigen::VectorXd y = factors.solve(t);
    return {y.begin(), y.end()};
  }

 private:
  // Whether the last column lowers |H x - b|^2 + mu |x|^2, by tau^2, far more than the rounding of
  // H x can raise it. The last steps do so for a regular, ill-conditioned H, though the gradient,
  // which is the residual, is as small as rounding allows before them. They do not for a singular
  // H: x is as long as |b| / epsilon with them, hence 1000, far from both. O(k), but asked at the
  // end alone.
  bool gains(double norm_h) const {
    const double tau = columns_.back().tau;
    return tau * tau > 1000.0 * std::numeric_limits<double>::epsilon() * norm_h *
                           norm(coefficients(last())) * norm_b_;
  }

  TikhonovQr qr_;
  double root_mu_;
  double norm_b_;
  double zero_;  // relative to |H|
  bool unregularised_ = false;
  std::vector<TikhonovQr::Column> columns_;
  Vector history_;
  bool ended_ = false;
};

// The eigenvalues, ascending, of the tridiagonal matrix with this diagonal and the next one.
Vector ritz_values(const Vector& diagonal, const Vector& beside) {
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen;
  eigen.computeFromTridiagonal(map(diagonal),
                               map(beside).head(static_cast<Eigen::Index>(diagonal.size()) - 1),
                               Eigen::EigenvaluesOnly);
  if (eigen.info() != Eigen::Success) {
    throw SolverError("lanczos: the eigenvalues of the tridiagonal matrix did not converge");
  }
  const auto& values = eigen.eigenvalues();
  return {values.begin(), values.end()};
}

}  // namespace

LanczosResult lanczos(const SymmetricOperator& product, std::span<const double> b,
                      std::span<const double> dampings, const LanczosSettings& settings) {
  check_right_hand_side(b);
  for (const double damping : dampings) require_not_negative("damping", damping);
  check_limits(settings.max_iterations, settings.tolerance);
  LanczosResult result;
  const std::size_t size = b.size();
  double scale;
  const Vector unit = scaled(b, scale);
  if (scale == 0.0) {
    const LanczosSolution zero{
        Vector(size, 0.0), 0.0, 0.0, Vector(size, 0.0), StopReason::zero_right_hand_side, {0.0}};
    result.solutions.assign(dampings.size(), zero);
    return result;
  }

  CountedOperator h(product);
  TikhonovResiduals truth{h, unit, norm(unit)};
  std::vector<PathPoint> path;
  for (const double damping : dampings) path.emplace_back(damping, truth.norm_b, size);
  Basis basis{unit};
  for (double& e : basis[0]) e /= truth.norm_b;
  Vector w(size), scratch, diagonal, beside;
  double beta = 0.0;    // T(k, k-1)
  double norm_h = 0.0;  // a lower bound of |H|, from T
  // At an invariant subspace what is left of a product is the rounding of a sum of P terms.
  const double nothing = kRounding * std::sqrt(static_cast<double>(size));
  bool exhausted = false;
  for (int k = 0; k < settings.max_iterations; ++k) {
    // Column k of T.
    h(basis.back(), w);
    double alpha = project_out(basis, w, scratch);
    alpha += project_out(basis, w, scratch);
    const double beta_next = norm(w);
    norm_h = std::max(norm_h, std::hypot(beta, alpha, beta_next));
    check_finite(norm_h);
    diagonal.push_back(alpha);
    beside.push_back(beta_next);
    if (k == 0) truth.norm_hb = truth.norm_b * std::hypot(alpha, beta_next);
    if (truth.norm_hb == 0.0) break;

    bool ended = !path.empty();
    for (PathPoint& point : path) {
      // Half the tolerance: a rounding error must not lift the recomputed residual above it.
      point.advance(beta, alpha, beta_next, norm_h, truth.norm_hb, 0.5 * settings.tolerance);
      ended = ended && point.ended();
    }
    exhausted = basis.size() == size || beta_next <= nothing * norm_h;
    if (ended || exhausted) break;
    for (double& e : w) e /= beta_next;
    basis.push_back(w);
    beta = beta_next;
  }

  result.iterations = static_cast<int>(diagonal.size());
  result.ritz_values = ritz_values(diagonal, beside);
  if (truth.norm_hb == 0.0) {  // b in the null space of H: x = 0 is exact
    const LanczosSolution zero{Vector(size, 0.0),     1.0,  0.0, Vector(size, 0.0),
                               StopReason::converged, {0.0}};
    result.solutions.assign(dampings.size(), zero);
    result.products = h.calls();
    return result;
  }
  const auto from = [&](std::size_t l, const Vector& y) {
    LanczosSolution found;
    found.x.assign(size, 0.0);
    for (std::size_t k = 0; k < y.size(); ++k) add(y[k], basis[k], found.x);
    Residuals residuals = truth(found.x, dampings[l]);
    if (!path[l].unregularised()) check_finite(residuals.regularised);
    found.residual = residuals.plain;
    found.regularised_residual = residuals.regularised;
    found.image = std::move(residuals.image);
    return found;
  };
  const auto iterate = [&](std::size_t l, std::size_t steps) {
    const Vector y = path[l].coefficients(steps);
    LanczosSolution found = from(l, y);
    if (!path[l].too_long(y, norm_h)) return found;
    LanczosSolution other = from(l, path[l].least_norm_coefficients(steps));
    return found.residual < other.residual ? found : other;
  };
  for (std::size_t l = 0; l < path.size(); ++l) {
    const std::size_t last = path[l].last();
    LanczosSolution solution = iterate(l, last);
    Vector history = path[l].history();
    if (history.size() == last) history.push_back(solution.regularised_residual);
    if (settings.smallest_residual && solution.regularised_residual > settings.tolerance) {
      const auto least = std::min_element(history.begin(), history.end());
      const auto best = static_cast<std::size_t>(least - history.begin());
      // Residuals that only rounding tells apart: the last iterate has the smaller functional.
      const double rounding = kRounding * norm_h * norm_h * norm(solution.x) / truth.norm_hb;
      if (best != last &&
          (*least <= settings.tolerance || *least < solution.regularised_residual - rounding)) {
        LanczosSolution other = iterate(l, best);
        if (other.regularised_residual < solution.regularised_residual) solution = std::move(other);
      }
    }
    solution.reason = solution.regularised_residual <= settings.tolerance ? StopReason::converged
                      : exhausted || path[l].ended() ? StopReason::stagnated
                                                     : StopReason::max_iterations;
    for (double& e : solution.x) e *= scale;
    for (double& e : solution.image) e *= scale;
    solution.history = std::move(history);
    result.solutions.push_back(std::move(solution));
  }
  result.products = h.calls();
  return result;
}

}  // namespace admrl

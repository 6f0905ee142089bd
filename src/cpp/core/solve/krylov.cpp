#include "core/solve/krylov.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "core/check.hpp"
#include "core/solve/dense.hpp"
#include "core/solve/lanczos.hpp"

namespace admrl {
namespace {

// Which iterate a solve ends with, as long as the recurrence is all that is known of them. The
// residuals of cg do not fall monotonically, but x'Ax / 2 - b'x, which it minimises, does.
enum class Keep { smallest_residual, last };

// Follows cgnr, cg or dense: the history, the iterate to end with, and whether to stop. A
// recurrence that claims convergence is believed only after the residual has been recomputed.
class Monitor {
 public:
  using Evaluate = std::function<Residuals(const Vector& x)>;

  Monitor(std::size_t size, Keep which, double tolerance, Evaluate evaluate)
      : which_(which),
        tolerance_(tolerance),
        next_check_(tolerance),
        best_(size, 0.0),
        evaluate_(std::move(evaluate)) {}

  // Records iterate x, whose residual the recurrence says is `estimate`. True: stop.
  bool observe(const Vector& x, double estimate) {
    check_finite(estimate);
    history_.push_back(estimate);
    if (!checked_ && (which_ == Keep::last || estimate < best_estimate_)) keep(x, estimate);
    if (estimate > next_check_) return false;
    next_check_ = 0.1 * estimate;
    return check(x);
  }

  // Ends the solve of a b in the null space of H: x = 0 is exact.
  void solved_by_zero() {
    history_ = {0.0};
    residuals_ = {1.0, 0.0, Vector(best_.size(), 0.0)};
    reason_ = StopReason::converged;
  }

  // Ends the solve at the best iterate.
  void finish(StopReason reason) {
    if (!checked_) residuals_ = evaluate_(best_);
    reason_ = residuals_.regularised <= tolerance_ ? StopReason::converged : reason;
  }

  // Ends the solve at `x`, which no recurrence has judged.
  void solved_by(Vector x) {
    best_ = std::move(x);
    residuals_ = evaluate_(best_);
    check_finite(residuals_.regularised);
    checked_ = true;
    history_ = {residuals_.regularised};
    finish(StopReason::stagnated);
  }

  const Vector& best() const { return best_; }
  const Residuals& residuals() const { return residuals_; }
  StopReason reason() const { return reason_; }
  const Vector& history() const { return history_; }

 private:
  void keep(const Vector& x, double estimate) {
    best_ = x;
    best_estimate_ = estimate;
  }

  bool check(const Vector& x) {
    Residuals r = evaluate_(x);
    const double before =
        checked_ ? residuals_.regularised : std::numeric_limits<double>::infinity();
    const double now = r.regularised;
    if (now < before) {
      keep(x, r.regularised);
      residuals_ = std::move(r);
    }
    checked_ = true;
    if (now <= tolerance_) {
      reason_ = StopReason::converged;
      return true;
    }
    // The recurrence gained a factor of ten; where the truth gained less than two, it is lost.
    if (now > 0.5 * before) {
      reason_ = StopReason::stagnated;
      return true;
    }
    return false;
  }

  Keep which_;
  double tolerance_;
  double next_check_;
  Vector best_;
  double best_estimate_ = std::numeric_limits<double>::infinity();
  bool checked_ = false;  // residuals_ are those of best_
  Residuals residuals_{1.0, 1.0, {}};
  StopReason reason_ = StopReason::max_iterations;
  Vector history_;
  Evaluate evaluate_;
};

// Conjugate gradients for least squares (Hestenes & Stiefel 1952; Björck's CGLS), with damping.
void cgnr(CountedOperator& h, const Vector& b, const KrylovSettings& settings,
          TikhonovResiduals& truth, Monitor& monitor) {
  const double mu = settings.damping;
  Vector x(b.size(), 0.0), r = b, s(b.size()), q(b.size());
  h(r, s);
  truth.norm_hb = norm(s);
  check_finite(truth.norm_hb);
  if (truth.norm_hb == 0.0) return monitor.solved_by_zero();
  Vector p = s;
  double ss = dot(s, s);
  monitor.observe(x, 1.0);
  for (int k = 0; k < settings.max_iterations; ++k) {
    h(p, q);
    const double curvature = dot(q, q) + mu * dot(p, p);
    check_finite(curvature);
    if (curvature == 0.0) return monitor.finish(StopReason::stagnated);
    const double step = ss / curvature;
    add(step, p, x);
    add(-step, q, r);
    h(r, s);
    add(-mu, x, s);
    const double ss_new = dot(s, s);
    if (monitor.observe(x, std::sqrt(ss_new) / truth.norm_hb)) return;
    if (ss_new == 0.0) return monitor.finish(StopReason::stagnated);
    scale_add(s, ss_new / ss, p);
    ss = ss_new;
  }
  monitor.finish(StopReason::max_iterations);
}

// MINRES: the Lanczos process with one damping.
void minres(const SymmetricOperator& product, std::span<const double> b,
            const KrylovSettings& settings, KrylovResult& result) {
  LanczosResult found =
      lanczos(product, b, std::span(&settings.damping, 1),
              {settings.max_iterations, settings.tolerance, /*smallest_residual=*/true});
  LanczosSolution& solution = found.solutions.front();
  result.solution = std::move(solution.x);
  result.image = std::move(solution.image);
  result.curvature = dot(result.solution, result.image);
  result.ritz_values = std::move(found.ritz_values);
  result.residual = solution.residual;
  result.regularised_residual = solution.regularised_residual;
  result.products = found.products;
  result.reason = solution.reason;
  result.history = std::move(solution.history);
  result.iterations = static_cast<int>(result.history.size()) - 1;
}

// Conjugate gradients (Hestenes & Stiefel 1952) on (s H + sqrt(mu) I) x = s b.
struct ShiftedResiduals {
  CountedOperator& h;
  const Vector& b;
  double norm_b;
  double shift = 0.0;  // s sqrt(mu)

  Residuals operator()(const Vector& x) {
    Vector r = b, image(b.size());
    h(x, image);
    add(-1.0, image, r);
    const double plain = norm(r) / norm_b;
    add(-shift, x, r);
    return {plain, norm(r) / norm_b, std::move(image)};
  }
};

void cg(CountedOperator& h, const Vector& b, const KrylovSettings& settings,
        ShiftedResiduals& truth, Monitor& monitor) {
  const double root_mu = std::sqrt(settings.damping);
  Vector x(b.size(), 0.0), q(b.size());
  h(b, q);
  const double sign = dot(b, q) < 0.0 ? -1.0 : 1.0;
  truth.shift = sign * root_mu;
  // With p = s b, the first product of s H with p is H b.
  Vector r = b;
  for (double& e : r) e *= sign;
  Vector p = r;
  double rr = dot(r, r);
  monitor.observe(x, 1.0);
  for (int k = 0; k < settings.max_iterations; ++k) {
    if (k > 0) {
      h(p, q);
      for (double& e : q) e *= sign;
    }
    add(root_mu, p, q);
    const double curvature = dot(p, q);
    check_finite(curvature);
    if (curvature <= 0.0) return monitor.finish(StopReason::indefinite);
    const double step = rr / curvature;
    add(step, p, x);
    add(-step, q, r);
    const double rr_new = dot(r, r);
    if (monitor.observe(x, std::sqrt(rr_new) / truth.norm_b)) return;
    if (rr_new == 0.0) return monitor.finish(StopReason::stagnated);
    scale_add(r, rr_new / rr, p);
    rr = rr_new;
  }
  monitor.finish(StopReason::max_iterations);
}

// The eigendecomposition: exact, so that the residual is only looked at, once.
void dense(CountedOperator& h, const Vector& b, const KrylovSettings& settings,
           TikhonovResiduals& truth, Monitor& monitor, Vector& eigenvalues) {
  DenseSolution exact = dense_tikhonov(h, b, settings.damping, settings.rounding);
  eigenvalues = std::move(exact.eigenvalues);
  Vector hb(b.size());
  h(b, hb);
  truth.norm_hb = norm(hb);
  check_finite(truth.norm_hb);
  if (truth.norm_hb == 0.0) return monitor.solved_by_zero();
  monitor.solved_by(std::move(exact.x));
}

// Fills in the method that runs, and why.
void choose(KrylovSettings& settings, std::size_t size, KrylovResult& result) {
  if (settings.method != KrylovMethod::automatic) {
    result.why = "asked for";
  } else {
    const auto iterations = static_cast<std::size_t>(settings.max_iterations);
    const std::size_t limit = std::min(iterations, kLargestDense);
    const bool small = size <= limit;
    settings.method = small ? KrylovMethod::dense : KrylovMethod::minres;
    const std::string p = "P = " + std::to_string(size);
    const std::string limit_text =
        std::to_string(limit) +
        (limit < iterations ? ", the largest H to decompose" : ", the iterations allowed");
    result.why = small ? "exact, and " + p + " products are not more than " + limit_text
                       : "one product an iteration, H definite or not; " + p +
                             " products would be more than " + limit_text;
  }
  result.method = settings.method;
}

}  // namespace

KrylovResult solve_symmetric(const SymmetricOperator& product, std::span<const double> b,
                             const KrylovSettings& asked) {
  check_right_hand_side(b);
  require_not_negative("damping", asked.damping);
  check_limits(asked.max_iterations, asked.tolerance);
  KrylovSettings settings = asked;
  KrylovResult result;
  choose(settings, b.size(), result);
  require(settings.method != KrylovMethod::dense || b.size() <= kLargestDense,
          "b: expected at most ", kLargestDense, " elements for method dense, got ", b.size(),
          "; use minres");
  if (settings.method == KrylovMethod::minres) {
    minres(product, b, settings, result);
    return result;
  }
  double scale;
  const Vector unit = scaled(b, scale);
  if (scale == 0.0) {
    result.solution.assign(b.size(), 0.0);
    result.image.assign(b.size(), 0.0);
    result.history = {0.0};
    result.reason = StopReason::zero_right_hand_side;
    return result;
  }

  CountedOperator h(product);
  const double norm_b = norm(unit);
  TikhonovResiduals tikhonov{h, unit, norm_b};
  ShiftedResiduals shifted{h, unit, norm_b};
  const bool is_cg = settings.method == KrylovMethod::cg;
  Monitor monitor(
      b.size(), is_cg ? Keep::last : Keep::smallest_residual, settings.tolerance,
      [&](const Vector& x) { return is_cg ? shifted(x) : tikhonov(x, settings.damping); });
  switch (settings.method) {
    case KrylovMethod::cgnr:
      cgnr(h, unit, settings, tikhonov, monitor);
      break;
    case KrylovMethod::cg:
      cg(h, unit, settings, shifted, monitor);
      break;
    case KrylovMethod::dense:
    case KrylovMethod::minres:     // done above
    case KrylovMethod::automatic:  // `choose` has replaced it
      dense(h, unit, settings, tikhonov, monitor, result.ritz_values);
      break;
  }
  result.solution = monitor.best();
  result.image = monitor.residuals().image;
  for (double& e : result.solution) e *= scale;
  result.curvature = scale * dot(result.solution, result.image);
  for (double& e : result.image) e *= scale;
  result.residual = monitor.residuals().plain;
  result.regularised_residual = monitor.residuals().regularised;
  result.history = monitor.history();
  result.iterations = static_cast<int>(result.history.size()) - 1;
  result.products = h.calls();
  result.reason = monitor.reason();
  return result;
}

}  // namespace admrl

#include "core/krylov.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace admrl {
namespace {

using Vector = std::vector<double>;

constexpr double kRounding = 10.0 * std::numeric_limits<double>::epsilon();

auto map(const Vector& x) {
  return Eigen::Map<const Eigen::VectorXd>(x.data(), static_cast<Eigen::Index>(x.size()));
}
auto map(Vector& x) {
  return Eigen::Map<Eigen::VectorXd>(x.data(), static_cast<Eigen::Index>(x.size()));
}

// In order, one by one: the bits do not depend on how wide the processor's registers are.
double dot(const Vector& x, const Vector& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

double norm(const Vector& x) { return std::sqrt(dot(x, x)); }

// y += a x
void add(double a, const Vector& x, Vector& y) { map(y) += a * map(x); }

// y = x + a y
void scale_add(const Vector& x, double a, Vector& y) { map(y) = map(x) + a * map(y); }

void check(std::span<const double> b, const KrylovSettings& settings) {
  if (b.empty()) throw InvalidInput("b: expected at least one element");
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (!std::isfinite(b[i])) {
      throw InvalidInput("b: expected finite values, got " + std::to_string(b[i]) + " at index " +
                         std::to_string(i));
    }
  }
  if (!(settings.damping >= 0.0) || !std::isfinite(settings.damping)) {
    throw InvalidInput("damping: expected a finite number >= 0, got " +
                       std::to_string(settings.damping));
  }
  if (!(settings.tolerance >= 0.0) || !std::isfinite(settings.tolerance)) {
    throw InvalidInput("tolerance: expected a finite number >= 0, got " +
                       std::to_string(settings.tolerance));
  }
  if (settings.max_iterations < 1) {
    throw InvalidInput("max_iterations: expected at least 1, got " +
                       std::to_string(settings.max_iterations));
  }
}

// H as a function that counts its calls and refuses non-finite values.
class Operator {
 public:
  explicit Operator(const SymmetricOperator& product) : product_(product) {}

  void operator()(const Vector& x, Vector& out) {
    ++calls_;
    product_(x, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (!std::isfinite(out[i])) {
        throw SolverError("hvp: product " + std::to_string(calls_) + " has " +
                          std::to_string(out[i]) + " at index " + std::to_string(i) +
                          ", expected finite values");
      }
    }
  }

  int calls() const { return calls_; }

 private:
  const SymmetricOperator& product_;
  int calls_ = 0;
};

// What an iterate really achieves, computed from the operator and not from a recurrence.
struct Residuals {
  double plain;        // |b - H x| / |b|
  double regularised;  // relative residual of the regularised system
};

void check_finite(double value) {
  if (!std::isfinite(value)) {
    throw SolverError("solve_symmetric: the recurrence overflowed; scale the operator down");
  }
}

// Follows a solve: the history, the best iterate, and whether to stop. A recurrence that claims
// convergence is believed only after the residual has been recomputed.
class Monitor {
 public:
  using Evaluate = std::function<Residuals(const Vector& x)>;

  Monitor(std::size_t size, double tolerance, Evaluate evaluate)
      : tolerance_(tolerance),
        next_check_(tolerance),
        best_(size, 0.0),
        evaluate_(std::move(evaluate)) {}

  // Records iterate x, whose residual the recurrence says is `estimate`. True: stop.
  bool observe(const Vector& x, double estimate) {
    check_finite(estimate);
    history_.push_back(estimate);
    if (!checked_ && estimate < best_estimate_) keep(x, estimate);
    if (estimate > next_check_) return false;
    next_check_ = 0.1 * estimate;
    return check(x);
  }

  // Ends the solve of a b in the null space of H: x = 0 is exact.
  void solved_by_zero() {
    history_ = {0.0};
    residuals_ = {1.0, 0.0};
    reason_ = StopReason::converged;
  }

  // Ends the solve at `x`, whose residual is not known yet, or (null) at the best iterate.
  void finish(StopReason reason, const Vector* x) {
    reason_ = reason;
    if (x != nullptr) {
      const Residuals r = evaluate_(*x);
      history_.push_back(r.regularised);
      if (r.regularised < (checked_ ? residuals_.regularised : best_estimate_)) {
        keep(*x, r.regularised);
        residuals_ = r;
        checked_ = true;
      }
    }
    if (!checked_) residuals_ = evaluate_(best_);
    checked_ = true;
    if (residuals_.regularised <= tolerance_) reason_ = StopReason::converged;
  }

  // Whether the recurrence has gone far away from the best iterate.
  bool diverged() const { return history_.back() > 1e4 * best_estimate_; }

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
    const Residuals r = evaluate_(x);
    const double before =
        checked_ ? residuals_.regularised : std::numeric_limits<double>::infinity();
    if (r.regularised < before) {
      keep(x, r.regularised);
      residuals_ = r;
    }
    checked_ = true;
    if (r.regularised <= tolerance_) {
      reason_ = StopReason::converged;
      return true;
    }
    // The recurrence gained a factor of ten; where the truth gained less than two, it is lost.
    if (r.regularised > 0.5 * before) {
      reason_ = StopReason::stagnated;
      return true;
    }
    return false;
  }

  double tolerance_;
  double next_check_;
  Vector best_;
  double best_estimate_ = std::numeric_limits<double>::infinity();
  bool checked_ = false;  // residuals_ are those of best_
  Residuals residuals_{1.0, 1.0};
  StopReason reason_ = StopReason::max_iterations;
  Vector history_;
  Evaluate evaluate_;
};

// Residuals of the Tikhonov problem. |H b| is known after the first product of a solve.
struct TikhonovResiduals {
  Operator& h;
  const Vector& b;
  double damping;
  double norm_b;
  double norm_hb = 0.0;

  Residuals operator()(const Vector& x) {
    Vector r = b, product(b.size());
    h(x, product);
    add(-1.0, product, r);
    h(r, product);
    add(-damping, x, product);
    return {norm(r) / norm_b, norm(product) / norm_hb};
  }
};

// Conjugate gradients for least squares (Hestenes & Stiefel 1952; Björck's CGLS), with damping.
void cgnr(Operator& h, const Vector& b, const KrylovSettings& settings, TikhonovResiduals& truth,
          Monitor& monitor) {
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
    if (curvature == 0.0) return monitor.finish(StopReason::stagnated, nullptr);
    const double step = ss / curvature;
    add(step, p, x);
    add(-step, q, r);
    h(r, s);
    add(-mu, x, s);
    const double ss_new = dot(s, s);
    if (monitor.observe(x, std::sqrt(ss_new) / truth.norm_hb)) return;
    if (ss_new == 0.0) return monitor.finish(StopReason::stagnated, nullptr);
    scale_add(s, ss_new / ss, p);
    ss = ss_new;
  }
  monitor.finish(StopReason::max_iterations, nullptr);
}

// A plane rotation: (top, bottom) -> (c top + s bottom, c bottom - s top).
struct Rotation {
  double c = 1.0;
  double s = 0.0;

  // The rotation that turns (a, b) into (length, 0).
  static Rotation onto(double a, double b, double& length) {
    length = std::hypot(a, b);
    return length == 0.0 ? Rotation{} : Rotation{a / length, b / length};
  }
};

// MINRES (Paige & Saunders 1975) for the Tikhonov problem: with V_k from the Lanczos process and
// H V_k = V_{k+1} T, x_k = V_k y minimises |T y - |b| e_1|^2 + mu |y|^2. T has three diagonals, so
// the QR factor of T stacked on sqrt(mu) I has three as well, and x_k follows by short recurrences.
// Column k is finished by two rotations: `damp` brings in a row of sqrt(mu) I, `lanczos` the row
// k + 1 of T. `damp` leaves a fill in the damping row at column k + 1, merged there with the next
// damping row. mu = 0: MINRES itself.
void minres(Operator& h, const Vector& b, const KrylovSettings& settings, TikhonovResiduals& truth,
            Monitor& monitor) {
  const std::size_t size = b.size();
  const double root_mu = std::sqrt(settings.damping);
  Vector x(size, 0.0), v = b, v_old(size, 0.0), w(size), d1(size, 0.0), d2(size, 0.0), d(size);
  for (double& e : v) e /= truth.norm_b;
  double beta = 0.0;          // T(k, k-1)
  double phi = truth.norm_b;  // right-hand side in row k
  double psi = 0.0;           // right-hand side in the damping row
  Rotation lanczos, lanczos_old, damp;
  double norm_h = 0.0;  // a lower bound of |H|, from T
  for (int k = 0; k < settings.max_iterations; ++k) {
    h(v, w);
    add(-beta, v_old, w);
    const double alpha = dot(v, w);
    add(-alpha, v, w);
    const double beta_next = norm(w);
    norm_h = std::max(norm_h, std::hypot(beta, alpha, beta_next));

    // Column k of T, (beta, alpha, beta_next), through the rotations of the columns before.
    const double epsilon = lanczos_old.s * beta;
    const double above = damp.c * lanczos_old.c * beta;
    const double fill = -damp.s * lanczos_old.c * beta;
    const double delta = lanczos.c * above + lanczos.s * alpha;
    const double gamma_bar = lanczos.c * alpha - lanczos.s * above;

    // H r - mu x of the iterate at hand has two components, along v and along w.
    const double regularised =
        std::hypot(gamma_bar * phi + fill * psi, lanczos.c * beta_next * phi);
    if (k == 0) truth.norm_hb = regularised;
    if (truth.norm_hb == 0.0) return monitor.solved_by_zero();
    if (monitor.observe(x, regularised / truth.norm_hb)) return;
    // Without damping, rounding errors blow up on a singular H whose range does not contain b.
    if (root_mu == 0.0 && monitor.diverged()) return monitor.finish(StopReason::stagnated, nullptr);

    double damping_row, gamma_damped, gamma;
    const Rotation merge = Rotation::onto(root_mu, fill, damping_row);
    const double psi_merged = merge.s * psi;
    damp = Rotation::onto(gamma_bar, damping_row, gamma_damped);
    const double phi_damped = damp.c * phi + damp.s * psi_merged;
    psi = damp.c * psi_merged - damp.s * phi;
    lanczos_old = lanczos;
    lanczos = Rotation::onto(gamma_damped, beta_next, gamma);
    // H is singular on the Krylov space: the iterate at hand is a least-squares solution.
    if (gamma <= kRounding * norm_h) return monitor.finish(StopReason::stagnated, nullptr);
    const double tau = lanczos.c * phi_damped;
    phi = -lanczos.s * phi_damped;
    for (std::size_t i = 0; i < size; ++i) {
      d[i] = (v[i] - delta * d1[i] - epsilon * d2[i]) / gamma;
      x[i] += tau * d[i];
    }
    std::swap(d2, d1);
    std::swap(d1, d);

    // The Krylov space is exhausted: x is its solution.
    if (beta_next <= kRounding * norm_h) return monitor.finish(StopReason::stagnated, &x);
    std::swap(v_old, v);
    for (std::size_t i = 0; i < size; ++i) v[i] = w[i] / beta_next;
    beta = beta_next;
  }
  monitor.finish(StopReason::max_iterations, &x);
}

// Conjugate gradients (Hestenes & Stiefel 1952) on (s H + mu I) x = s b.
struct ShiftedResiduals {
  Operator& h;
  const Vector& b;
  double norm_b;
  double shift = 0.0;  // s mu

  Residuals operator()(const Vector& x) {
    Vector r(b.size());
    h(x, r);
    for (std::size_t i = 0; i < r.size(); ++i) r[i] = b[i] - r[i];
    const double plain = norm(r) / norm_b;
    add(-shift, x, r);
    return {plain, norm(r) / norm_b};
  }
};

void cg(Operator& h, const Vector& b, const KrylovSettings& settings, ShiftedResiduals& truth,
        Monitor& monitor) {
  Vector x(b.size(), 0.0), q(b.size());
  h(b, q);
  const double sign = dot(b, q) < 0.0 ? -1.0 : 1.0;
  truth.shift = sign * settings.damping;
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
    add(settings.damping, p, q);
    const double curvature = dot(p, q);
    check_finite(curvature);
    if (curvature <= 0.0) return monitor.finish(StopReason::indefinite, nullptr);
    const double step = rr / curvature;
    add(step, p, x);
    add(-step, q, r);
    const double rr_new = dot(r, r);
    if (monitor.observe(x, std::sqrt(rr_new) / truth.norm_b)) return;
    if (rr_new == 0.0) return monitor.finish(StopReason::stagnated, nullptr);
    scale_add(r, rr_new / rr, p);
    rr = rr_new;
  }
  monitor.finish(StopReason::max_iterations, nullptr);
}

}  // namespace

KrylovResult solve_symmetric(const SymmetricOperator& product, std::span<const double> b,
                             const KrylovSettings& settings) {
  check(b, settings);
  KrylovResult result;
  double scale = 0.0;
  for (const double e : b) scale = std::max(scale, std::abs(e));
  if (scale == 0.0) {
    result.solution.assign(b.size(), 0.0);
    result.history = {0.0};
    result.reason = StopReason::zero_right_hand_side;
    return result;
  }
  // The squares of a very small or large b would leave the range of a double.
  Vector unit(b.begin(), b.end());
  for (double& e : unit) e /= scale;

  Operator h(product);
  const double norm_b = norm(unit);
  TikhonovResiduals tikhonov{h, unit, settings.damping, norm_b};
  ShiftedResiduals shifted{h, unit, norm_b};
  const bool is_cg = settings.method == KrylovMethod::cg;
  Monitor monitor(b.size(), settings.tolerance,
                  [&](const Vector& x) { return is_cg ? shifted(x) : tikhonov(x); });
  switch (settings.method) {
    case KrylovMethod::cgnr:
      cgnr(h, unit, settings, tikhonov, monitor);
      break;
    case KrylovMethod::minres:
      minres(h, unit, settings, tikhonov, monitor);
      break;
    case KrylovMethod::cg:
      cg(h, unit, settings, shifted, monitor);
      break;
  }
  result.solution = monitor.best();
  for (double& e : result.solution) e *= scale;
  result.residual = monitor.residuals().plain;
  result.regularised_residual = monitor.residuals().regularised;
  result.history = monitor.history();
  result.iterations = static_cast<int>(result.history.size()) - 1;
  result.products = h.calls();
  result.reason = monitor.reason();
  return result;
}

}  // namespace admrl

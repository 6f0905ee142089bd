// The scalar part of MINRES with damping (Paige & Saunders 1975), column by column.
//
// With V_k from the Lanczos process on (H, b) and H V_k = V_{k+1} T, x_k = V_k y minimises
// |T y - |b| e_1|^2 + mu |y|^2. T has three diagonals, so the factor R of T stacked on sqrt(mu) I
// has three as well, and R y = t. Column k is finished by two rotations: `damp_` brings in a row of
// sqrt(mu) I, `lanczos_` the row k + 1 of T. `damp_` leaves a fill in the damping row at column
// k + 1, merged there with the next damping row. mu = 0: MINRES itself.
#pragma once

#include <cmath>

namespace admrl {

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

class TikhonovQr {
 public:
  // What column k adds to R y = t.
  struct Column {
    double epsilon;  // R(k-2, k)
    double delta;    // R(k-1, k)
    double gamma;    // R(k, k)
    double tau;      // t(k)
  };

  TikhonovQr(double damping, double norm_b) : root_mu_(std::sqrt(damping)), phi_(norm_b) {}

  // Takes column k of T, (T(k-1, k), T(k, k), T(k+1, k)), through the rotations of the columns
  // before. Returns |H r - mu x| of the iterate that those columns make, r = b - H x.
  double enter(double beta, double alpha, double beta_next) {
    beta_next_ = beta_next;
    column_.epsilon = lanczos_old_.s * beta;
    const double above = damp_.c * lanczos_old_.c * beta;
    fill_ = -damp_.s * lanczos_old_.c * beta;
    column_.delta = lanczos_.c * above + lanczos_.s * alpha;
    gamma_bar_ = lanczos_.c * alpha - lanczos_.s * above;
    // H r - mu x has two components, along v_k and along v_{k+1}.
    return std::hypot(gamma_bar_ * phi_ + fill_ * psi_, lanczos_.c * beta_next * phi_);
  }

  // Finishes the column that `enter` took.
  Column eliminate() {
    double damping_row, gamma_damped;
    const Rotation merge = Rotation::onto(root_mu_, fill_, damping_row);
    const double psi_merged = merge.s * psi_;
    damp_ = Rotation::onto(gamma_bar_, damping_row, gamma_damped);
    const double phi_damped = damp_.c * phi_ + damp_.s * psi_merged;
    psi_ = damp_.c * psi_merged - damp_.s * phi_;
    lanczos_old_ = lanczos_;
    lanczos_ = Rotation::onto(gamma_damped, beta_next_, column_.gamma);
    column_.tau = lanczos_.c * phi_damped;
    phi_ = -lanczos_.s * phi_damped;
    return column_;
  }

 private:
  double root_mu_;
  double phi_;        // right-hand side in row k
  double psi_ = 0.0;  // right-hand side in the damping row
  Rotation lanczos_, lanczos_old_, damp_;
  // Of the column at hand, between `enter` and `eliminate`.
  Column column_{};
  double fill_ = 0.0;
  double gamma_bar_ = 0.0;
  double beta_next_ = 0.0;
};

}  // namespace admrl

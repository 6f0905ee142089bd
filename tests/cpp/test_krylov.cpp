// Diagonal systems, whose solutions are known in closed form; the dense comparison is in Python.
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/krylov.hpp"

namespace {

using namespace admrl;

SymmetricOperator diagonal(const std::vector<double>& d) {
  return [d](std::span<const double> x, std::span<double> out) {
    for (std::size_t i = 0; i < d.size(); ++i) out[i] = d[i] * x[i];
  };
}

KrylovSettings settings(KrylovMethod method, double damping, double tolerance = 1e-12) {
  return {method, damping, 100, tolerance};
}

void test_solutions() {
  const std::vector<double> d{-5, -2, -0.5, 0.25, 1, 3}, b{1, -2, 3, 1, 0.5, -1};
  for (const double mu : {0.0, 0.1, 2.0}) {
    for (const KrylovMethod method : {KrylovMethod::cgnr, KrylovMethod::minres}) {
      const KrylovResult r = solve_symmetric(diagonal(d), b, settings(method, mu));
      CHECK(r.reason == StopReason::converged);
      CHECK(r.history.size() == static_cast<std::size_t>(r.iterations) + 1);
      for (std::size_t i = 0; i < d.size(); ++i) {
        // The condition number of H H is 400, the tolerance 1e-12.
        CHECK(std::abs(r.solution[i] - d[i] * b[i] / (d[i] * d[i] + mu)) < 1e-8);
      }
    }
    for (const double sign : {1.0, -1.0}) {
      std::vector<double> definite = d;
      for (double& e : definite) e = sign * std::abs(e);
      const KrylovResult r = solve_symmetric(diagonal(definite), b, settings(KrylovMethod::cg, mu));
      CHECK(r.reason == StopReason::converged);
      for (std::size_t i = 0; i < d.size(); ++i) {
        CHECK(std::abs(r.solution[i] - b[i] / (definite[i] + sign * mu)) < 1e-8);
      }
    }
  }
}

void test_ends() {
  const std::vector<double> d{1, -2, 3}, b{1, 1, 1};
  CHECK(solve_symmetric(diagonal(d), b, settings(KrylovMethod::cg, 0.1)).reason ==
        StopReason::indefinite);
  const KrylovResult zero =
      solve_symmetric(diagonal(d), std::vector<double>(3), settings(KrylovMethod::minres, 0.1));
  CHECK(zero.reason == StopReason::zero_right_hand_side && zero.products == 0);
  // Eigenvalues -1 and 1 on a b that sees both alike: every first step is in vain.
  const std::vector<double> odd{-1, 1};
  const KrylovResult r = solve_symmetric(diagonal(odd), std::vector<double>{1, 1},
                                         settings(KrylovMethod::minres, 0.0));
  CHECK(r.reason == StopReason::converged);
  CHECK(std::abs(r.solution[0] + 1) < 1e-12 && std::abs(r.solution[1] - 1) < 1e-12);
}

void test_errors() {
  const std::vector<double> b{1, 2};
  const auto bad = [](std::span<const double> x, std::span<double> out) {
    out[0] = x[0];
    out[1] = std::numeric_limits<double>::quiet_NaN();
  };
  const auto throwing = [](std::span<const double>, std::span<double>) { throw 42; };
  for (const KrylovMethod method : {KrylovMethod::cgnr, KrylovMethod::minres, KrylovMethod::cg}) {
    CHECK_THROWS(solve_symmetric(bad, b, settings(method, 0.1)), SolverError);
    CHECK_THROWS(solve_symmetric(throwing, b, settings(method, 0.1)), int);
    CHECK_THROWS(solve_symmetric(diagonal({1, 1}), b, settings(method, -1)), InvalidInput);
    CHECK_THROWS(solve_symmetric(diagonal({}), {}, settings(method, 0.1)), InvalidInput);
  }
}

}  // namespace

int main() {
  test_solutions();
  test_ends();
  test_errors();
  return admrl_test::failures != 0;
}

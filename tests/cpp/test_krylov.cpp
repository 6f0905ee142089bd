// Diagonal systems, whose solutions are known in closed form; the dense comparison is in Python.
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/solve/krylov.hpp"

namespace {

using namespace admrl;

SymmetricOperator diagonal(const std::vector<double>& d) {
  return [d](std::span<const double> x, std::span<double> out) {
    for (std::size_t i = 0; i < d.size(); ++i) out[i] = d[i] * x[i];
  };
}

KrylovSettings settings(KrylovMethod method, double damping, double tolerance = 1e-12) {
  return {.method = method, .damping = damping, .max_iterations = 100, .tolerance = tolerance};
}

void test_solutions() {
  const std::vector<double> d{-5, -2, -0.5, 0.25, 1, 3}, b{1, -2, 3, 1, 0.5, -1};
  for (const double mu : {0.0, 0.1, 2.0}) {
    for (const KrylovMethod method :
         {KrylovMethod::cgnr, KrylovMethod::minres, KrylovMethod::dense}) {
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
        CHECK(std::abs(r.solution[i] - b[i] / (definite[i] + sign * std::sqrt(mu))) < 1e-8);
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

// The second iterate of minres has a larger residual than the first, which is kept.
void test_best_iterate() {
  const std::vector<double> d{-1, 1.1, 10}, b{1, 1, 0.01};
  KrylovSettings s = settings(KrylovMethod::minres, 0.0);
  s.max_iterations = 2;
  const KrylovResult two = solve_symmetric(diagonal(d), b, s);
  s.max_iterations = 1;
  const KrylovResult one = solve_symmetric(diagonal(d), b, s);
  CHECK(two.reason == StopReason::max_iterations && two.history.size() == 3);
  CHECK(two.history[1] < two.history[2]);
  CHECK(two.solution == one.solution);
  CHECK(two.products == 2 + 2 + 2 && one.products == 1 + 2);
}

// Condition number 1e8, no damping, a b that sees every eigenvalue alike.
void test_ill_conditioned() {
  std::vector<double> d(40);
  for (std::size_t i = 0; i < d.size(); ++i) {
    d[i] = (i % 2 == 0 ? 1.0 : -1.0) * std::pow(10.0, -8.0 * static_cast<double>(i) / 39.0);
  }
  const KrylovResult r = solve_symmetric(diagonal(d), std::vector<double>(40, 1.0),
                                         settings(KrylovMethod::minres, 0.0, 1e-15));
  CHECK(r.iterations <= 40);
  double error = 0.0, length = 0.0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    error = std::hypot(error, r.solution[i] - 1.0 / d[i]);
    length = std::hypot(length, 1.0 / d[i]);
  }
  CHECK(error < 2e-6 * length);  // 100 roundings of 2.2e-16, times the condition number
}

void test_choice() {
  const std::vector<double> d{1, -2, 3}, b{1, 1, 1};
  KrylovSettings s = settings(KrylovMethod::automatic, 0.1);
  s.max_iterations = 3;
  const KrylovResult small = solve_symmetric(diagonal(d), b, s);
  CHECK(small.method == KrylovMethod::dense && small.products == 3 + 3 && small.iterations == 0);
  s.max_iterations = 2;
  const KrylovResult large = solve_symmetric(diagonal(d), b, s);
  CHECK(large.method == KrylovMethod::minres && large.why != small.why);
  const KrylovResult asked = solve_symmetric(diagonal(d), b, settings(KrylovMethod::cgnr, 0.1));
  CHECK(asked.method == KrylovMethod::cgnr && asked.why == "asked for");
}

void test_dense() {
  // mu = 0: eigenvalues that are zero but for rounding do not count.
  const std::vector<double> d{1, -2, 1e-17}, b{1, 1, 1};
  const KrylovResult r = solve_symmetric(diagonal(d), b, settings(KrylovMethod::dense, 0.0));
  CHECK(r.reason == StopReason::converged);
  CHECK(std::abs(r.solution[0] - 1) < 1e-15 && std::abs(r.solution[1] + 0.5) < 1e-15);
  CHECK(r.solution[2] == 0.0);
  CHECK(std::abs(r.residual - std::sqrt(1.0 / 3.0)) < 1e-15);
  for (const double scale : {1e-150, 1e150}) {
    const std::vector<double> small{scale, -2 * scale, 3 * scale};
    const std::vector<double> x =
        solve_symmetric(diagonal(small), b, settings(KrylovMethod::dense, 0.0)).solution;
    CHECK(std::abs(x[2] * scale - 1.0 / 3.0) < 1e-12);
  }
  const auto skew = [](std::span<const double> x, std::span<double> out) {
    out[0] = x[0] + 0.5 * x[1];
    out[1] = x[1];
  };
  CHECK(admrl_test::throws<SolverError>(
      [&] { solve_symmetric(skew, std::vector<double>{1, 1}, settings(KrylovMethod::dense, 0.1)); },
      "H(0, 1) = 0.5 and H(1, 0) = 0"));
  CHECK(admrl_test::throws<InvalidInput>(
      [&] {
        solve_symmetric(skew, std::vector<double>(5001, 1), settings(KrylovMethod::dense, 0.1));
      },
      "at most 5000"));
}

void test_errors() {
  const std::vector<double> b{1, 2};
  const auto bad = [](std::span<const double> x, std::span<double> out) {
    out[0] = x[0];
    out[1] = std::numeric_limits<double>::quiet_NaN();
  };
  const auto throwing = [](std::span<const double>, std::span<double>) { throw 42; };
  for (const KrylovMethod method :
       {KrylovMethod::cgnr, KrylovMethod::minres, KrylovMethod::cg, KrylovMethod::dense}) {
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
  test_best_iterate();
  test_ill_conditioned();
  test_choice();
  test_dense();
  test_errors();
  return admrl_test::failures != 0;
}

// Diagonal systems, whose solutions and eigenvalues are known; the dense comparison is in Python.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/solve/lanczos.hpp"

namespace {

using namespace admrl;

SymmetricOperator diagonal(const std::vector<double>& d) {
  return [d](std::span<const double> x, std::span<double> out) {
    for (std::size_t i = 0; i < d.size(); ++i) out[i] = d[i] * x[i];
  };
}

const std::vector<double> kDiagonal{-5, -2, -0.5, 0.25, 1, 3}, kRhs{1, -2, 3, 1, 0.5, -1};

void test_path() {
  const std::vector<double> path{0.0, 1e-3, 0.1, 2.0};
  const LanczosResult r = lanczos(diagonal(kDiagonal), kRhs, path, {100, 1e-12});
  CHECK(r.solutions.size() == path.size());
  CHECK(r.products == r.iterations + 2 * 4);
  for (std::size_t l = 0; l < path.size(); ++l) {
    CHECK(r.solutions[l].reason == StopReason::converged);
    CHECK(r.solutions[l].regularised_residual <= 1e-12);
    CHECK(std::abs(r.solutions[l].history.front() - 1.0) < 1e-14);
    CHECK(r.solutions[l].history.size() <= static_cast<std::size_t>(r.iterations) + 1);
    for (std::size_t i = 0; i < kRhs.size(); ++i) {
      const double d = kDiagonal[i];
      // The condition number of H H is 400, the tolerance 1e-12.
      CHECK(std::abs(r.solutions[l].x[i] - d * kRhs[i] / (d * d + path[l])) < 1e-8);
    }
    // No solution depends on the rest of the path.
    const LanczosResult alone =
        lanczos(diagonal(kDiagonal), kRhs, std::vector<double>{path[l]}, {100, 1e-12});
    CHECK(alone.solutions[0].x == r.solutions[l].x);
  }
}

void test_ritz_values() {
  const LanczosResult r = lanczos(diagonal(kDiagonal), kRhs, {}, {100, 1e-6});
  CHECK(r.iterations == 6 && r.products == 6 && r.solutions.empty());
  CHECK(r.ritz_values.size() == 6);
  for (std::size_t i = 0; i < kDiagonal.size(); ++i) {
    CHECK(std::abs(r.ritz_values[i] - kDiagonal[i]) < 1e-13);
  }
}

// Sizes that are no multiple of the vectors taken together, and many more steps than one batch.
void test_large_basis() {
  std::vector<double> d(203), b(203);
  std::mt19937 engine(1);
  std::normal_distribution<double> normal;
  for (double& e : d) e = normal(engine);
  for (double& e : b) e = normal(engine);
  const LanczosResult r = lanczos(diagonal(d), b, std::vector<double>{0.01}, {1000, 0.0});
  std::sort(d.begin(), d.end());
  CHECK(r.iterations <= 203);
  CHECK(r.solutions[0].regularised_residual < 1e-12);
  CHECK(std::abs(r.ritz_values.front() - d.front()) < 1e-12);
  CHECK(std::abs(r.ritz_values.back() - d.back()) < 1e-12);
}

void test_ends() {
  const std::vector<double> path{0.0, 0.1};
  const LanczosResult zero = lanczos(diagonal(kDiagonal), std::vector<double>(6), path, {});
  CHECK(zero.products == 0 && zero.iterations == 0 && zero.ritz_values.empty());
  for (const LanczosSolution& s : zero.solutions) {
    CHECK(s.reason == StopReason::zero_right_hand_side && s.x == std::vector<double>(6));
  }
  // b in the null space.
  const LanczosResult null = lanczos(diagonal({0, 2}), std::vector<double>{3, 0}, path, {});
  CHECK(null.iterations == 1 && null.products == 1 && null.ritz_values[0] == 0.0);
  CHECK(null.solutions[1].reason == StopReason::converged && null.solutions[1].residual == 1.0);
  // b within an invariant subspace of dimension 2.
  const LanczosResult two =
      lanczos(diagonal({1, 2, 3, 4}), std::vector<double>{1, 0, 1, 0}, path, {100, 0.0});
  CHECK(two.iterations == 2);
  CHECK(two.solutions[0].reason == StopReason::stagnated);
  CHECK(std::abs(two.solutions[0].x[2] - 1.0 / 3.0) < 1e-15);
  // mu = 0, H singular, b outside its range: a least-squares solution.
  const LanczosResult singular =
      lanczos(diagonal({0, 1, -2}), std::vector<double>{1, 1, 1}, path, {100, 1e-10});
  CHECK(singular.solutions[0].reason == StopReason::converged);
  CHECK(std::abs(singular.solutions[0].residual - std::sqrt(1.0 / 3.0)) < 1e-12);
  // Iterations used up.
  const LanczosResult cut = lanczos(diagonal(kDiagonal), kRhs, path, {3, 1e-12});
  CHECK(cut.iterations == 3 && cut.ritz_values.size() == 3);
  CHECK(cut.solutions[0].reason == StopReason::max_iterations);
  CHECK(cut.solutions[0].history.size() == 4);
  CHECK(cut.solutions[0].history.back() == cut.solutions[0].regularised_residual);
}

void test_errors() {
  const std::vector<double> b{1, 2}, path{0.1};
  const auto bad = [](std::span<const double> x, std::span<double> out) {
    out[0] = x[0];
    out[1] = std::numeric_limits<double>::quiet_NaN();
  };
  const auto throwing = [](std::span<const double>, std::span<double>) { throw 42; };
  CHECK_THROWS(lanczos(bad, b, path, {}), SolverError);
  CHECK_THROWS(lanczos(throwing, b, path, {}), int);
  CHECK_THROWS(lanczos(diagonal({1e308, 1e307}), b, path, {}), SolverError);
  CHECK_THROWS(lanczos(diagonal({1, 1}), b, std::vector<double>{0.1, -1}, {}), InvalidInput);
  CHECK_THROWS(lanczos(diagonal({1, 1}), b, path, {0, 1e-6}), InvalidInput);
  CHECK_THROWS(lanczos(diagonal({}), {}, path, {}), InvalidInput);
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_path();
    test_ritz_values();
    test_large_basis();
    test_ends();
    test_errors();
  });
}

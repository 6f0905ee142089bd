// The squashed Gaussian policy against closed forms, also where tanh saturates.
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/network/squashed_policy.hpp"

using namespace admrl;

namespace {

constexpr std::array<float, 1> kObs{0.5F};
constexpr std::array<float, 1> kMean{0.0F};
constexpr std::array<float, 1> kStd{1.0F};

// Two actions whose mean and log_std do not depend on the state: the biases.
SquashedGaussianPolicy constant(const std::vector<float>& biases, float low = -20.0F,
                                float high = 2.0F) {
  const std::vector<float> weights(biases.size(), 0.0F);
  const MlpLayer layer{weights.data(), biases.data(), 1, static_cast<int>(biases.size())};
  return SquashedGaussianPolicy({&layer, 1}, kMean, kStd, low, high);
}

struct Sample {
  std::array<float, 2> action{};
  float log_prob = 0.0F;
};

Sample act(const SquashedGaussianPolicy& policy, const float* eps) {
  Sample s;
  std::vector<float> scratch(static_cast<std::size_t>(policy.scratch_size()));
  s.log_prob = policy.act(kObs.data(), {eps, nullptr}, s.action.data(), scratch.data());
  return s;
}

bool close(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance; }

void test_density() {
  const std::array<float, 2> eps{0.7F, -1.3F};
  const Sample s = act(constant({0.2F, -0.4F, -0.5F, 0.3F}), eps.data());
  const std::array<double, 2> mean{0.2, -0.4}, log_std{-0.5, 0.3};
  double expected = 0.0;
  for (std::size_t i = 0; i < 2; ++i) {
    const double x = mean[i] + std::exp(log_std[i]) * eps[i];
    const double a = std::tanh(x);
    CHECK(close(s.action[i], a, 1e-7));  // one float32 rounding of x and of tanh
    expected += -0.5 * eps[i] * eps[i] - log_std[i] - 0.5 * std::log(2.0 * std::numbers::pi) -
                std::log(1.0 - a * a);
  }
  CHECK(close(s.log_prob, expected, 1e-6));
}

void test_without_noise() {
  const Sample s = act(constant({0.2F, -0.4F, -0.5F, 0.3F}), nullptr);
  const std::array<float, 2> zero{};
  const Sample same = act(constant({0.2F, -0.4F, -0.5F, 0.3F}), zero.data());
  CHECK(close(s.action[0], std::tanh(0.2), 1e-7) && close(s.action[1], std::tanh(-0.4), 1e-7));
  CHECK(s.action == same.action && s.log_prob == same.log_prob);
}

// Far out, log(1 - tanh(x)^2) = log 4 - 2 |x|, which 1 - a * a of the rounded action cannot tell.
void test_saturation() {
  const Sample s = act(constant({60.0F, -300.0F, 0.0F, 0.0F}), nullptr);
  CHECK(s.action[0] == 1.0F && s.action[1] == -1.0F);
  const double expected =
      -std::log(2.0 * std::numbers::pi) - 2.0 * std::log(4.0) + 2.0 * (60.0 + 300.0);
  CHECK(close(s.log_prob, expected, 1e-4));  // half a float32 step at 700
}

void test_bounds_of_log_std() {
  const std::array<float, 2> eps{1.0F, 1.0F};
  const Sample s = act(constant({0.0F, 0.0F, -50.0F, 50.0F}, -3.0F, -1.0F), eps.data());
  // Two float32 roundings.
  CHECK(close(s.action[0], std::tanh(std::exp(-3.0)), 1e-7));
  CHECK(close(s.action[1], std::tanh(std::exp(-1.0)), 1e-7));
}

void test_what_is_not_finite_stays_so() {
  const float huge = std::numeric_limits<float>::max();
  const std::array<float, 4> weights{huge, huge, 0.0F, 0.0F}, biases{huge, 0.0F, 0.0F, 0.0F};
  const MlpLayer layer{weights.data(), biases.data(), 1, 4};
  const SquashedGaussianPolicy policy({&layer, 1}, kMean, kStd, -20.0F, 2.0F);
  CHECK(std::isinf(act(policy, nullptr).action[0]));
}

void test_bad_policies() {
  const auto rejected = [](const std::vector<float>& biases, float low, float high,
                           const char* message) {
    return admrl_test::throws<InvalidInput>([&] { constant(biases, low, high); }, message);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(
      rejected({0, 0, 0}, -1, 1, "policy: layers: expected 2 A outputs, mean and log_std, got 3"));
  CHECK(rejected({0, nan}, -1, 1, "policy: layers[0] bias: expected finite values"));
  CHECK(rejected({0, 0}, 1, 1,
                 "policy: log_std_low: expected a finite number below a finite log_std_high, got "
                 "1.000000 and 1.000000"));
  CHECK(rejected({0, 0}, nan, 1,
                 "policy: log_std_low: expected a finite number below a finite log_std_high, got "
                 "nan and 1.000000"));
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_density();
    test_without_noise();
    test_saturation();
    test_bounds_of_log_std();
    test_what_is_not_finite_stays_so();
    test_bad_policies();
  });
}

#include <array>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "core/environment/family.hpp"
#include "core/error.hpp"

using admrl::FamilyDeclaration;
using admrl::FamilySpec;
using admrl::InvalidInput;
using admrl::ObsSource;
using admrl::Reward;
using admrl::RewardForm;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FamilyDeclaration declaration() {
  return {.name = "test",
          .act_dim = 2,
          .obs_blocks = {{ObsSource::kQpos, 0, 2, kInfinity}, {ObsSource::kQvel, 0, 2, 10.0}},
          .form = RewardForm::kAbs,
          .features = {3, 0},
          .coefficients = {1.0, 5.0},
          .offset = {0.0, 0.0},
          .scale = {1.0, 1.0},
          .control_cost = 0.5,
          .bonus = 10.0,
          .healthy = {
              {{0}, 0.25, 1.0, true}, {{1}, -0.25, 0.25, false}, {{2}, -kInfinity, 100.0, false}}};
}

struct Result {
  Reward r;
  std::array<double, 2> grad;
};

Result evaluate(const FamilySpec& spec, std::array<double, 4> next_obs,
                std::array<float, 2> action = {0.0F, 0.0F}) {
  const std::array<double, 2> psi{1.0, 0.5};
  Result result{};
  result.r = spec.evaluate(next_obs.data(), action.data(), psi.data(), result.grad.data());
  return result;
}

void test_abs_form() {
  const FamilySpec spec(declaration());
  CHECK(spec.obs_dim() == 4 && spec.task_dim() == 2 && spec.act_dim() == 2);
  // f = (3, 0.75); the second action is clipped to -1.
  const Result a = evaluate(spec, {0.75, 0.0, 0.0, 3.0}, {0.5F, -4.0F});
  CHECK(a.r.base == 10.0 - 0.5 * 1.25);
  CHECK(a.r.reward == -2.0 - 5.0 * 0.25 + a.r.base);
  CHECK(a.grad == std::array{1.0, 5.0});
  CHECK(!a.r.done);
  const Result b = evaluate(spec, {0.25, 0.0, 0.0, 1.0});
  CHECK(b.grad == std::array{0.0, -5.0});  // the first feature is at its kink
}

void test_linear_form() {
  FamilyDeclaration d = declaration();
  d.form = RewardForm::kLinear;
  d.offset = {1.0, 0.25};
  d.scale = {2.0, 0.5};
  const FamilySpec spec(d);
  const Result a = evaluate(spec, {0.5, 0.0, 0.0, 4.0});  // f = (1.5, 0.5)
  CHECK(a.grad == std::array{1.5, 2.5});
  CHECK(a.r.reward == 1.0 * 1.5 + 0.5 * 2.5 + 10.0);
}

void test_termination() {
  const FamilySpec spec(declaration());
  const auto done = [&spec](double a, double b, double c) {
    return evaluate(spec, {a, b, c, 0.0}).r.done;
  };
  CHECK(!done(0.25, 0.0, 0.0) && !done(1.0, 0.0, 0.0));  // closed
  CHECK(done(std::nextafter(0.25, 0.0), 0.0, 0.0) && done(std::nextafter(1.0, 2.0), 0.0, 0.0));
  CHECK(done(0.5, 0.25, 0.0) && done(0.5, -0.25, 0.0));  // open
  CHECK(!done(0.5, std::nextafter(0.25, 0.0), 0.0) && !done(0.5, std::nextafter(-0.25, 0.0), 0.0));
  CHECK(done(0.5, 0.0, 100.0) && !done(0.5, 0.0, -1e30));  // one-sided
}

void test_not_finite() {
  const FamilySpec spec(declaration());
  // The last is finite in float64 and not in the data.
  for (const double bad : {std::nan(""), kInfinity, -kInfinity, 1e39}) {
    const Result a = evaluate(spec, {0.5, 0.0, 0.0, bad});
    CHECK(a.r.done && a.r.reward == 0.0 && a.r.base == 0.0);
    CHECK(a.grad == std::array{0.0, 0.0});
  }
}

template <class Change>
bool rejected(Change change, const char* message) {
  FamilyDeclaration d = declaration();
  change(d);
  return admrl_test::throws<InvalidInput>([&d] { (void)FamilySpec(d); }, message);
}

void test_contradictions() {
  using D = FamilyDeclaration;
  CHECK(rejected([](D& d) { d.act_dim = 0; }, "act_dim: expected at least 1, got 0"));
  CHECK(
      rejected([](D& d) { d.features = {4, 0}; }, "features: expected an index in [0, 4), got 4"));
  CHECK(rejected([](D& d) { d.features.clear(); }, "features: expected at least one"));
  CHECK(rejected([](D& d) { d.scale = {1.0, 0.0}; }, "scale: expected positive values"));
  CHECK(rejected([](D& d) { d.offset = {1.0}; }, "offset: expected (K=2,) values, got 1"));
  CHECK(rejected([](D& d) { d.coefficients[0] = std::nan(""); }, "coefficients: expected finite"));
  CHECK(rejected([](D& d) { d.healthy[0].high = 0.0; }, "healthy: expected low < high"));
  CHECK(rejected([](D& d) { d.healthy[0].indices = {-1}; }, "healthy: expected an index"));
  CHECK(rejected([](D& d) { d.obs_blocks[0].stop = 0; }, "obs_blocks: expected 0 <= start < stop"));
  CHECK(rejected([](D& d) { d.obs_blocks.clear(); }, "obs_blocks: expected at least one"));
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_abs_form();
    test_linear_form();
    test_termination();
    test_not_finite();
    test_contradictions();
  });
}

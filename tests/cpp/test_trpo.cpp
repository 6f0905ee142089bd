// TRPO on cases that can be done by hand or by differences; the comparison with torch is in Python.
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/threads/job.hpp"
#include "core/update/trpo.hpp"

namespace {

using namespace admrl;

std::size_t to_size(int n) { return static_cast<std::size_t>(n); }

bool near(double got, double expected, double tolerance) {
  return std::abs(got - expected) <= tolerance;
}

std::vector<float> numbers(std::size_t n, unsigned seed, float scale) {
  std::vector<float> out(n);
  unsigned state = seed;
  for (float& x : out) {
    state = state * 1664525u + 1013904223u;
    x = scale * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f);
  }
  return out;
}

// A policy, samples and room for an update of it.
struct Case {
  Case(std::vector<int> widths, int rows) : sizes(std::move(widths)) {
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      const auto in = to_size(sizes[i]), out = to_size(sizes[i + 1]);
      const auto seed = static_cast<unsigned>(i);
      weights.push_back(numbers(in * out, 10 + seed, 1.0f / std::sqrt(static_cast<float>(in))));
      biases.push_back(numbers(out, 20 + seed, 0.1f));
    }
    const auto m = to_size(rows), d = to_size(sizes.front()), a = to_size(sizes.back());
    log_std = numbers(a, 1, 0.3f);
    obs = numbers(m * d, 2, 2.0f);
    actions = numbers(m * a, 3, 2.0f);
    advantages = numbers(m, 4, 1.0f);
    obs_mean = numbers(d, 5, 0.1f);
    obs_std.assign(d, 1.5f);
  }

  std::vector<WritableLayer> layers() {
    std::vector<WritableLayer> views;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      views.push_back({weights[i].data(), biases[i].data(), sizes[i], sizes[i + 1]});
    }
    return views;
  }
  PolicySamples samples() const { return {obs, actions, advantages, obs_mean, obs_std}; }
  TrpoUpdate update(const TrpoSettings& settings = {}) {
    return {layers(), log_std, samples(), settings};
  }
  std::vector<float> theta() const {
    std::vector<float> all;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      all.insert(all.end(), weights[i].begin(), weights[i].end());
      all.insert(all.end(), biases[i].begin(), biases[i].end());
    }
    all.insert(all.end(), log_std.begin(), log_std.end());
    return all;
  }

  std::vector<int> sizes;
  std::vector<std::vector<float>> weights, biases;
  std::vector<float> log_std, obs, actions, advantages, obs_mean, obs_std;
};

void test_by_hand() {
  // mean = 0 s + 0, sigma = 1, normalised states 1 and -2, actions 3 and -1, advantages 1 and -1:
  // standardised, 1 / sqrt 2 and -1 / sqrt 2.
  Case t({1, 1}, 2);
  t.weights = {{0}};
  t.biases = {{0}};
  t.log_std = {0};
  t.obs = {2, -1};
  t.obs_mean = {1};
  t.obs_std = {1};
  t.actions = {3, -1};
  t.advantages = {1, -1};
  ThreadPool pool(1);
  TrpoUpdate update = t.update({.entropy_coefficient = 0.5});
  const double w = 1 / std::sqrt(2.0);
  const auto g = update.gradient(pool);
  CHECK(g.size() == 3);
  CHECK(near(g[0], w * (3 * 1 - (-1) * -2) / 2, 1e-6));
  CHECK(near(g[1], w * (3 - -1) / 2, 1e-6));
  CHECK(near(g[2], w * (8 - 0) / 2 + 0.5, 1e-6));
  // F of the mean: the second moments of (s, 1).
  const std::vector<double> v{1, 2, 3};
  const auto f = update.fisher_product(pool, v);
  CHECK(near(f[0], 2.5 * 1 - 0.5 * 2, 1e-6) && near(f[1], -0.5 * 1 + 2, 1e-6) && f[2] == 6);
}

// Against differences of the surrogate and the divergence themselves.
void test_by_differences() {
  Case t({5, 7, 40, 3}, 150);
  ThreadPool pool(2);
  PolicyBatch batch(t.sizes, t.samples());
  const std::vector<float> theta = t.theta();
  std::vector<double> gradient(batch.num_params()), product(batch.num_params());
  batch.linearise(pool, theta, gradient);
  const auto there = numbers(batch.num_params(), 6, 1.0f);
  const std::vector<double> v(there.begin(), there.end());
  batch.fisher_product(pool, v, product);
  const auto moved = [&](float by) {
    std::vector<float> to = theta;
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += by * there[i];
    return batch.evaluate(pool, to);
  };
  double slope = 0, curvature = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    slope += gradient[i] * v[i];
    curvature += product[i] * v[i];
  }
  CHECK(near(moved(0).surrogate, batch.old_surrogate(), 1e-12) && moved(0).kl == 0);
  // Central differences of float32 numbers: errors of the step squared, and of rounding over it.
  const float h = 2e-3f;
  const auto ahead = moved(h), behind = moved(-h);
  const double step = static_cast<double>(h);
  CHECK(near((ahead.surrogate - behind.surrogate) / (2 * step), slope, 1e-3 * std::abs(slope)));
  CHECK(near((ahead.kl + behind.kl) / (step * step), curvature, 1e-3 * curvature));
}

TrpoResult result_of(const TrpoUpdate& update) {
  const auto& result = update.result();
  CHECK(result.has_value());
  return result ? *result : TrpoResult{};
}

void test_an_update(const std::vector<int>& sizes, int rows) {
  Case alone(sizes, rows), shared(sizes, rows), beside(sizes, rows);
  const auto before = alone.theta();
  ThreadPool one(1), three(3);
  TrpoUpdate first = alone.update(), second = shared.update(), third = beside.update();
  CHECK(!first.result());
  first.run(one);
  second.run(three);
  Case other({2, 3, 2}, 40);
  TrpoUpdate fourth = other.update();
  const std::array<Job*, 2> jobs{&third, &fourth};
  run_jobs(three, jobs);
  const TrpoResult result = result_of(first);
  CHECK(result.line_search_steps >= 0 && result.kl > 0 && result.improvement > 0);
  CHECK(result.kl <= 1.5 * 0.01);
  CHECK(alone.theta() != before);
  CHECK(shared.theta() == alone.theta() && beside.theta() == alone.theta());
  CHECK(result_of(second).kl == result.kl && result_of(third).kl == result.kl);
}

void test_bad_input() {
  Case t({5, 7, 3}, 20);
  t.obs_std[2] = 0;
  CHECK_THROWS(t.update(), InvalidInput);
  Case short_obs({5, 7, 3}, 20);
  short_obs.obs.pop_back();
  CHECK_THROWS(short_obs.update(), InvalidInput);
  Case one({5, 7, 3}, 1);
  CHECK_THROWS(one.update(), InvalidInput);
  CHECK_THROWS(LaneMlp(std::array{3}), InvalidInput);
  CHECK_THROWS(LaneMlp(std::array{3, 0, 2}), InvalidInput);
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_by_hand();
    test_by_differences();
    test_an_update({5, 7, 3}, 37);
    test_an_update({40, 33, 20, 2}, 300);
    test_an_update({3, 1}, 2);
    test_bad_input();
  });
}
